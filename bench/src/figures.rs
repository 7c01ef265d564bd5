//! What was measured, and what is asked for.

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) gateway: Samples,
    pub(crate) floor: Samples,
    pub(crate) reference: Samples,
    /// What the reference did on a quiet machine.
    noted: Option<f64>,
    targets: Vec<Target>,
}

/// What one thing was measured to be, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The middle one.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// The smallest and the largest, where there are several.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let smallest = self.0.iter().copied().reduce(f64::min)?;
        let largest = self.0.iter().copied().reduce(f64::max)?;
        (self.0.len() > 1).then_some((smallest, largest))
    }

    /// Each divided by what was measured in the same round.
    fn divided_by(&self, others: &Self) -> Self {
        let pairs = self.0.iter().zip(&others.0);
        Self(pairs.map(|(value, other)| value / other).collect())
    }
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
            gateway: Samples::default(),
            floor: Samples::default(),
            reference: Samples::default(),
            noted: None,
            targets: Vec::new(),
        }
    }

    /// What the reference did when the machine was quiet; a measurement replaces it.
    pub(crate) fn reference(mut self, value: f64) -> Self {
        self.noted = Some(value);
        self
    }

    pub(crate) fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// The gateway's values divided by the floor's.
    pub(crate) fn to_floor(&self) -> Samples {
        self.gateway.divided_by(&self.floor)
    }

    /// What the reference was measured to do now, or else what it was noted to do.
    pub(crate) fn of_reference(&self) -> Option<f64> {
        self.reference.median().or(self.noted)
    }

    /// The gateway's values divided by the reference's.
    pub(crate) fn to_reference(&self) -> Samples {
        match (self.reference.values(), self.noted) {
            ([], Some(noted)) => {
                Samples(self.gateway.0.iter().map(|value| value / noted).collect())
            }
            _ => self.gateway.divided_by(&self.reference),
        }
    }

    /// The targets and whether they are met.
    pub(crate) fn verdicts(&self) -> Vec<(String, Option<bool>)> {
        let verdict = |target: &Target| match *target {
            Target::TimesReference(times) => (
                format!("{times} × reference"),
                self.to_reference().median().map(|ratio| {
                    if self.unit.more_is_better() {
                        ratio >= times
                    } else {
                        ratio <= 1.0 / times
                    }
                }),
            ),
            Target::OfFloor(part) => (
                format!("{part} × floor"),
                self.to_floor().median().map(|ratio| ratio >= part),
            ),
            Target::AtMost(most) => (
                format!("≤ {}", self.unit.write(most)),
                self.gateway.median().map(|value| value <= most),
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
        figure.gateway.push(4_000.0);
        figure.floor.push(8_001.0);
        let met: Vec<_> = figure.verdicts().into_iter().map(|(_, met)| met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(false)]);
    }

    #[test]
    fn ratios_are_those_of_each_round() {
        let mut figure = Figure::new("health", Unit::PerSecond).reference(10.0);
        for (gateway, floor) in [(10.0, 20.0), (30.0, 40.0), (5.0, 50.0)] {
            figure.gateway.push(gateway);
            figure.floor.push(floor);
        }
        assert_eq!(figure.to_floor().values(), [0.5, 0.75, 0.1]);
        assert_eq!(figure.to_floor().median(), Some(0.5));
        assert_eq!(figure.gateway.range(), Some((5.0, 30.0)));
        assert_eq!(figure.to_reference().median(), Some(1.0));
        figure.reference.push(5.0);
        assert_eq!(
            figure.to_reference().values(),
            [2.0],
            "only what was measured with it"
        );
    }
}
