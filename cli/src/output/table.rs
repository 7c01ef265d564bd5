//! Rows under a head, as wide as there is room.

use std::io::IsTerminal as _;

use super::line;

/// How wide a table is where nobody says how much room there is, in characters.
const WIDTH: usize = 120;
/// How wide a table may be on a terminal.
const SANE: std::ops::RangeInclusive<usize> = 40..=200;
/// How narrow a column becomes before its table is told as a list.
const NARROWEST: usize = 12;
const GAP: &str = "  ";

/// A table.
pub(crate) struct Table<const COLUMNS: usize> {
    head: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Makes one without rows; its first column is never broken, because it is there to be copied.
    pub(crate) fn new(head: [&'static str; COLUMNS]) -> Self {
        Self {
            head,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| line(&cell)));
    }

    /// Draws it for whoever reads standard output.
    pub(crate) fn draw(&self) -> String {
        self.within(room())
    }

    fn within(&self, room: usize) -> String {
        let Some(widths) = self.widths(room) else {
            return self.list();
        };
        let mut text = draw_row(&self.head.map(str::to_owned), &widths);
        for row in &self.rows {
            text += &draw_row(row, &widths);
        }
        text
    }

    fn widths(&self, room: usize) -> Option<[usize; COLUMNS]> {
        let mut widths = self.head.map(width);
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let gaps = GAP.len() * COLUMNS.saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let widest = widths.iter_mut().skip(1).max()?;
            if *widest <= NARROWEST {
                return None;
            }
            *widest -= 1;
        }
        Some(widths)
    }

    /// One line for each cell.
    fn list(&self) -> String {
        let widest = self.head.iter().map(|name| width(name)).max().unwrap_or(0);
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            for (name, cell) in self.head.iter().zip(row) {
                text += format!("{name:<widest$}{GAP}{cell}").trim_end();
                text.push('\n');
            }
        }
        text
    }
}

fn draw_row<const COLUMNS: usize>(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut columns = Vec::new();
    for (cell, width) in cells.iter().zip(widths) {
        columns.push(broken(cell, *width));
    }
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for index in 0..height {
        let mut drawn = String::new();
        for (column, width) in columns.iter().zip(widths) {
            let part = column.get(index).map_or("", String::as_str);
            drawn += &format!("{part:<width$}{GAP}");
        }
        text += drawn.trim_end();
        text.push('\n');
    }
    text
}

/// Breaks a text between words, and within those that are too long.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        let gap = usize::from(used > 0);
        if used > 0 && used + gap + rest.len() > room {
            lines.push(String::new());
            used = 0;
        }
        while !rest.is_empty() {
            let gap = usize::from(used > 0);
            let part: Vec<char> = rest.drain(..rest.len().min(room.max(1))).collect();
            if let Some(line) = lines.last_mut() {
                line.extend(std::iter::repeat_n(' ', gap).chain(part.iter().copied()));
            }
            used += gap + part.len();
            if !rest.is_empty() {
                lines.push(String::new());
                used = 0;
            }
        }
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn room() -> usize {
    let wide = terminal_width().map(|columns| columns.clamp(*SANE.start(), *SANE.end()));
    wide.unwrap_or(WIDTH)
}

#[cfg(unix)]
fn terminal_width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(not(unix))]
fn terminal_width() -> Option<usize> {
    let _ = std::io::stdout().is_terminal();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["Id", "Name", "What it may do"]);
        table.row(["1234567890", "box", "operator.read operator.write"].map(str::to_owned));
        table.row(["2", "", "abcdefghijklmnopqrstuvwxyz\u{1b}"].map(str::to_owned));
        table
    }

    #[test]
    fn what_fits_is_one_line_a_row() {
        let expected = "\
Id          Name  What it may do
1234567890  box   operator.read operator.write
2                 abcdefghijklmnopqrstuvwxyz
";
        assert_eq!(table().within(80), expected);
    }

    #[test]
    fn what_does_not_fit_is_broken_but_for_the_first_column() {
        let expected = "\
Id          Name  What it may do
1234567890  box   operator.read
                  operator.write
2                 abcdefghijklmnopqr
                  stuvwxyz
";
        assert_eq!(table().within(36), expected);
    }

    #[test]
    fn where_there_is_no_room_it_is_a_list() {
        let expected = "\
Id              1234567890
Name            box
What it may do  operator.read operator.write

Id              2
Name
What it may do  abcdefghijklmnopqrstuvwxyz
";
        assert_eq!(table().within(20), expected);
    }
}
