//! The figures as text.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::figures::{Figure, Samples};

const NOTHING: &str = "–";
const BEGIN: &str = "<!-- figures: written by bench/run -->";
const END: &str = "<!-- end of figures -->";

/// Where and how a run was made.
pub(crate) struct Circumstances {
    pub(crate) command: String,
    pub(crate) notes: Vec<String>,
}

impl Circumstances {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("Machine: {}.", machine()),
            format!("Command: `{}`.", self.command),
            format!("Date: {}.", today()),
        ];
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

/// The table, as Markdown that reads well as it is.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = [
        "what",
        "gateway",
        "floor",
        "÷ floor",
        "reference",
        "÷ reference",
        "target",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for figure in figures {
        let unit = |value: f64| figure.unit.write(value);
        let verdicts: Vec<String> = figure
            .verdicts()
            .into_iter()
            .map(|(target, met)| match met {
                Some(true) => format!("{target}: met"),
                Some(false) => format!("{target}: **missed**"),
                None => format!("{target}: not measured"),
            })
            .collect();
        rows.push(vec![
            figure.what.clone(),
            spread(&figure.gateway, unit),
            spread(&figure.floor, unit),
            spread(&figure.to_floor(), times),
            figure
                .of_reference()
                .map_or_else(|| NOTHING.to_owned(), unit),
            figure
                .to_reference()
                .median()
                .map_or_else(|| NOTHING.to_owned(), times),
            verdicts.join("; "),
        ]);
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// The median, and from where to where the rounds went.
fn spread(samples: &Samples, write: impl Fn(f64) -> String) -> String {
    match (samples.median(), samples.range()) {
        (None, _) => NOTHING.to_owned(),
        (Some(median), None) => write(median),
        (Some(median), Some((smallest, largest))) => {
            format!(
                "{} ({} – {})",
                write(median),
                write(smallest),
                write(largest)
            )
        }
    }
}

fn times(ratio: f64) -> String {
    if ratio >= 10.0 {
        format!("{ratio:.0}")
    } else if ratio >= 0.1 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.4}")
    }
}

/// Everything as one JSON document.
pub(crate) fn json(figures: &[Figure], circumstances: &Circumstances) -> String {
    let rows: Vec<_> = figures
        .iter()
        .map(|figure| {
            serde_json::json!({
                "what": figure.what,
                "unit": format!("{:?}", figure.unit),
                "gateway": figure.gateway.values(),
                "floor": figure.floor.values(),
                "reference": figure.reference.values(),
                "targets": figure.verdicts().into_iter().map(|(target, met)| {
                    serde_json::json!({"target": target, "met": met})
                }).collect::<Vec<_>>(),
            })
        })
        .collect();
    let document = serde_json::json!({"circumstances": circumstances.lines(), "figures": rows});
    format!("{document:#}")
}

/// Puts the table into a page, in place of the one that it has.
pub(crate) fn write(
    path: &Path,
    figures: &[Figure],
    circumstances: &Circumstances,
) -> io::Result<()> {
    let section = format!(
        "{BEGIN}\n\n{}\n\n{}\n{END}",
        circumstances.lines().join("\n"),
        table(figures)
    );
    let page = match fs::read_to_string(path) {
        Ok(page) => page,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("# Figures\n\n{BEGIN}{END}\n")
        }
        Err(error) => return Err(error),
    };
    let (Some(from), Some(to)) = (page.find(BEGIN), page.find(END)) else {
        return Err(io::Error::other(format!(
            "{} has no place for figures",
            path.display()
        )));
    };
    let page = format!("{}{section}{}", &page[..from], &page[to + END.len()..]);
    fs::write(path, page)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok());
    let gib = kib.map_or_else(
        || "?".to_owned(),
        |kib| format!("{:.0}", kib / f64::from(1 << 20)),
    );
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!("{cores} cores, {gib} GiB, load {load} at the end of the run")
}

/// Today's date in UTC.
fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// The date of a day counted from 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_453), (2025, 12, 31));
    }

    #[test]
    fn a_page_keeps_what_people_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures.md");
        let circumstances = Circumstances {
            command: "bench/run".into(),
            notes: Vec::new(),
        };
        fs::write(&path, format!("before\n{BEGIN}old{END}\nafter\n")).unwrap();
        write(&path, &[], &circumstances).unwrap();
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.starts_with("before\n") && page.ends_with("\nafter\n"));
        assert!(page.contains("| what") && !page.contains("old"));
    }
}
