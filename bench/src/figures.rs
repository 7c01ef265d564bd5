//! What was measured, and what is asked for.

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) gateway: Option<f64>,
    pub(crate) floor: Option<f64>,
    /// What was measured on the reference now, or what it did on a quiet machine.
    pub(crate) reference: Option<f64>,
    pub(crate) targets: Vec<Target>,
}

/// What a figure is asked to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// So many times the reference.
    TimesReference(f64),
    /// This part of the floor.
    OfFloor(f64),
    /// No more than this.
    AtMost(f64),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    Nanos,
    Bytes,
    Megabytes,
}

impl Unit {
    /// Writes a value; times are given in seconds, sizes in bytes.
    pub(crate) fn write(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::Millis => format!("{:.1} ms", value * 1e3),
            Self::Nanos => format!("{} ns", thousands(value)),
            Self::Bytes => format!("{} B", thousands(value)),
            Self::Megabytes => format!("{:.1} MB", value / 1e6),
        }
    }

    const fn more_is_better(self) -> bool {
        matches!(self, Self::PerSecond)
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, unit: Unit) -> Self {
        Self {
            what: what.into(),
            unit,
            gateway: None,
            floor: None,
            reference: None,
            targets: Vec::new(),
        }
    }

    /// What the reference did when the machine was quiet; a measurement replaces it.
    pub(crate) fn reference(mut self, value: f64) -> Self {
        self.reference = Some(value);
        self
    }

    pub(crate) fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// The gateway's value divided by the floor's.
    pub(crate) fn to_floor(&self) -> Option<f64> {
        Some(self.gateway? / self.floor?)
    }

    /// The gateway's value divided by the reference's.
    pub(crate) fn to_reference(&self) -> Option<f64> {
        Some(self.gateway? / self.reference?)
    }

    /// The targets and whether they are met.
    pub(crate) fn verdicts(&self) -> Vec<(String, Option<bool>)> {
        let verdict = |target: &Target| match *target {
            Target::TimesReference(times) => (
                format!("{times} × reference"),
                self.to_reference().map(|ratio| {
                    if self.unit.more_is_better() {
                        ratio >= times
                    } else {
                        ratio <= 1.0 / times
                    }
                }),
            ),
            Target::OfFloor(part) => (
                format!("{part} × floor"),
                self.to_floor().map(|ratio| ratio >= part),
            ),
            Target::AtMost(most) => (
                format!("≤ {}", self.unit.write(most)),
                self.gateway.map(|value| value <= most),
            ),
        };
        self.targets.iter().map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_read_them() {
        assert_eq!(Unit::PerSecond.write(1_234_567.2), "1,234,567/s");
        assert_eq!(Unit::PerSecond.write(999.0), "999/s");
        assert_eq!(Unit::Millis.write(0.025), "25.0 ms");
        assert_eq!(Unit::Megabytes.write(8_100_000.0), "8.1 MB");
    }

    #[test]
    fn a_target_is_met_where_the_value_is_on_its_right_side() {
        let mut figure = Figure::new("health", Unit::PerSecond)
            .reference(100.0)
            .target(Target::TimesReference(40.0))
            .target(Target::OfFloor(0.5))
            .target(Target::AtMost(1.0));
        assert!(figure.verdicts().iter().all(|(_, met)| met.is_none()));
        figure.gateway = Some(4_000.0);
        figure.floor = Some(8_001.0);
        let met: Vec<_> = figure.verdicts().into_iter().map(|(_, met)| met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(false)]);
    }
}
