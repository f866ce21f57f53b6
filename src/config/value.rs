//! Values with a form of their own: learning rates with a rule, durations.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// A learning rate, given as a number or as a rule of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub enum Rate {
    Fixed(f64),
    /// x batch / 256.
    Linear(f64),
    /// x sqrt(batch).
    Sqrt(f64),
}

impl Rate {
    pub fn at(self, batch: usize) -> f64 {
        match self {
            Rate::Fixed(lr) => lr,
            Rate::Linear(base) => base * batch as f64 / 256.0,
            Rate::Sqrt(base) => base * (batch as f64).sqrt(),
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

impl TryFrom<Written> for Rate {
    type Error = String;
    fn try_from(written: Written) -> Result<Rate, String> {
        match written {
            Written::Number(lr) => Ok(Rate::Fixed(lr)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Rate> for Written {
    fn from(rate: Rate) -> Written {
        match rate {
            Rate::Fixed(lr) => Written::Number(lr),
            rule => Written::Text(rule.to_string()),
        }
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || {
            format!(
                "`{text}` is no learning rate: a number, \"linear 0.3\" (x batch / 256) or \"sqrt 0.075\" (x sqrt(batch))"
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |word: &str| word.parse().map_err(|_| wrong());
        match words[..] {
            [lr] => Ok(Rate::Fixed(number(lr)?)),
            ["linear", base] => Ok(Rate::Linear(number(base)?)),
            ["sqrt", base] => Ok(Rate::Sqrt(number(base)?)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Rate::Fixed(lr) => write!(f, "{lr}"),
            Rate::Linear(base) => write!(f, "linear {base}"),
            Rate::Sqrt(base) => write!(f, "sqrt {base}"),
        }
    }
}

/// `150s`, `10m`, `2h`, `11h30m`, `1d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: e.g. 150s, 10m, 2h, 11h30m");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = rest.split_at(unit_at.ok_or_else(wrong)?);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let scale = match unit.as_bytes()[0] {
            b's' => 1.0,
            b'm' => 60.0,
            b'h' => 3600.0,
            b'd' => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += number * scale;
        rest = &unit[1..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// `3 h 05 min`, `4 min 10 s`, `12.3 s`.
pub fn hours_minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        3600.. => format!("{hours} h {minutes:02} min"),
        60.. => format!("{minutes} min {:02} s", seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("150s"), Ok(Duration::from_secs(150)));
        assert_eq!(duration("11h30m"), Ok(Duration::from_secs(41_400)));
        assert_eq!(duration("0.5h"), Ok(Duration::from_secs(1800)));
        for wrong in ["", "10", "m", "5 parsecs", "-3s", "1e400h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_read_back() {
        for text in ["0.5", "linear 0.3", "sqrt 0.075"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!(Rate::Linear(0.3).at(4096), Rate::Sqrt(0.075).at(4096));
    }
}
