//! An axis: its ends, and the round numbers or names along it.

#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    pub ticks: Vec<(f64, String)>,
}

/// Steps there are at least, where numbers allow.
const STEPS: f64 = 4.0;

impl Axis {
    /// Around all of `values` that are finite, ending at round numbers; 0 is on it if `from_zero`.
    pub fn of_numbers(values: impl Iterator<Item = f64>, from_zero: bool) -> Axis {
        let finite = values
            .filter(|x| x.is_finite())
            .chain(from_zero.then_some(0.0));
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        let (low, high) = match high - low {
            _ if low > high => (0.0, 1.0), // no values at all
            0.0 => (low - 0.5, high + 0.5),
            _ => (low, high),
        };
        let step = round_step((high - low) / STEPS);
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let tick = |i: i64| (i as f64 * step, format!("{:.decimals$}", i as f64 * step));
        Axis {
            low: first as f64 * step,
            high: last as f64 * step,
            ticks: (first..=last).map(tick).collect(),
        }
    }

    /// Category i stands at i, with half of its room on either side.
    pub fn of_categories(names: &[String]) -> Axis {
        let named = names.iter().enumerate();
        Axis {
            low: -0.5,
            high: names.len().max(1) as f64 - 0.5,
            ticks: named.map(|(i, name)| (i as f64, name.clone())).collect(),
        }
    }

    /// 0 at its low end, 1 at its high.
    pub fn share(&self, x: f64) -> f64 {
        (x - self.low) / (self.high - self.low)
    }
}

/// The largest of 1, 2, 5 times a power of ten that is not above `most`.
fn round_step(most: f64) -> f64 {
    let power = 10f64.powf(most.log10().floor());
    let fits = |factor: &&f64| **factor * power <= most * (1.0 + 1e-9);
    power * [5.0, 2.0, 1.0].iter().find(fits).unwrap_or(&1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], from_zero: bool) -> Vec<String> {
        let axis = Axis::of_numbers(values.iter().copied(), from_zero);
        axis.ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        assert_eq!(
            labels(&[12.3, 57.0], false),
            ["10", "20", "30", "40", "50", "60"]
        );
        assert_eq!(
            labels(&[0.12, f64::NAN, 0.31], false)[..3],
            ["0.12", "0.14", "0.16"]
        );
        assert_eq!(labels(&[3.0, 7.0], true)[..2], ["0", "1"]);
        assert_eq!(
            labels(&[-0.4, 0.4], false),
            ["-0.4", "-0.2", "0.0", "0.2", "0.4"]
        );
        assert_eq!(labels(&[5.0], false)[0], "4.4");
        assert!(!labels(&[], false).is_empty());
    }

    #[test]
    fn categories_have_half_their_room_on_either_side() {
        let axis = Axis::of_categories(&["a".into(), "b".into()]);
        assert_eq!((axis.share(0.0), axis.share(1.0)), (0.25, 0.75));
    }
}
