//! What `check` found, for programs and for people.
use super::All;
use crate::{
    cli::format::{bytes, grouped},
    data::{BadImage, inspect::Seen},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Examples of a kind that are shown to people.
const EXAMPLES: usize = 3;
/// Short sides below which images are counted apart.
const SHORT_SIDES: [u32; 4] = [64, 224, 512, 1024];

#[derive(Serialize)]
pub struct Report {
    pub images: usize,
    pub bytes: u64,
    pub formats: BTreeMap<&'static str, usize>,
    pub sizes: Sizes,
    pub classes: BTreeMap<String, usize>,
    pub images_a_second_a_core: f64,
    /// `None` without --val.
    pub leaks: Option<Vec<Leak>>,
    pub equal_files: Vec<Vec<String>>,
    pub equal_pixels: Vec<Vec<String>>,
    pub alike: Alike,
    pub bad: Vec<BadImage>,
    /// What would stop a run.
    pub stops: Vec<String>,
}

/// (width, height), and how many images have short sides from each bound to the next.
#[derive(Serialize)]
pub struct Sizes {
    pub commonest: Option<(u32, u32)>,
    pub commonest_images: usize,
    pub smallest: Option<(u32, u32)>,
    pub largest: Option<(u32, u32)>,
    pub short_sides: Vec<(String, usize)>,
}

#[derive(Serialize)]
pub struct Alike {
    pub differing_bits_at_most: u32,
    pub of_bits: u32,
    pub groups: Vec<Vec<String>>,
}

/// An image of --val that is, or looks like, one of IMAGES.
#[derive(Serialize)]
pub struct Leak {
    pub val: String,
    pub train: String,
    pub equal_pixels: bool,
}

impl Sizes {
    pub fn of(seen: &[Seen]) -> Sizes {
        let mut counts = BTreeMap::new();
        for seen in seen {
            *counts.entry((seen.width, seen.height)).or_insert(0) += 1;
        }
        let commonest = counts.iter().max_by_key(|&(_, count)| *count);
        let area = |&(w, h): &(u32, u32)| w as u64 * h as u64;
        let mut bounds: Vec<u32> = [0].into_iter().chain(SHORT_SIDES).collect();
        bounds.push(u32::MAX);
        let part = |bounds: &[u32]| {
            let within =
                |seen: &&Seen| (bounds[0]..bounds[1]).contains(&seen.width.min(seen.height));
            let words = match *bounds {
                [0, end] => format!("under {end}"),
                [start, u32::MAX] => format!("{start} or more"),
                [start, end] => format!("{start} to {}", end - 1),
                _ => unreachable!("windows of two"),
            };
            (words, seen.iter().filter(within).count())
        };
        Sizes {
            commonest: commonest.map(|(&size, _)| size),
            commonest_images: commonest.map_or(0, |(_, &count)| count),
            smallest: counts.keys().copied().min_by_key(area),
            largest: counts.keys().copied().max_by_key(area),
            short_sides: bounds
                .windows(2)
                .map(part)
                .filter(|(_, n)| *n > 0)
                .collect(),
        }
    }
}

impl Leak {
    pub fn all(all: &All, equal: &[Vec<u32>], alike: &[Vec<u32>]) -> Vec<Leak> {
        let train = all.images.len() as u32;
        let mut leaks = BTreeMap::new();
        for (groups, equal_pixels) in [(equal, true), (alike, false)] {
            for group in groups.iter().filter(|group| group[0] < train) {
                for &val in group.iter().filter(|&&index| index >= train) {
                    leaks.entry(val).or_insert_with(|| Leak {
                        val: all.name(val),
                        train: all.name(group[0]),
                        equal_pixels,
                    });
                }
            }
        }
        leaks.into_values().collect()
    }
}

/// The report in a few lines.
pub fn summary(report: &Report, what: &str) -> String {
    let mut text = String::new();
    let mut row = |name: &str, what: String| text += &format!("{name:<9} {what}\n");
    row(
        "images",
        format!(
            "{} in {what}, {}",
            grouped(report.images),
            bytes(report.bytes)
        ),
    );
    let formats = report.formats.iter();
    let formats: Vec<String> = formats
        .map(|(format, count)| format!("{} {format}", grouped(*count)))
        .collect();
    row("formats", formats.join(", "));
    row("sizes", sizes(&report.sizes));
    row("classes", classes(&report.classes));
    row("bad", bad(report));
    row("same", same(report));
    row("alike", {
        let Alike { groups, .. } = &report.alike;
        let words = format!(
            "{} look like others (at most {} of {} bits of a difference hash apart)",
            images(extra(groups)),
            report.alike.differing_bits_at_most,
            report.alike.of_bits
        );
        with_examples(words, groups.iter().map(|group| group[..2].join(" ~ ")))
    });
    if let Some(leaks) = &report.leaks {
        let equal = leaks.iter().filter(|leak| leak.equal_pixels).count();
        let words = format!(
            "{} of --val are among IMAGES, {} more look like one",
            images(equal),
            grouped(leaks.len() - equal)
        );
        let pairs = leaks
            .iter()
            .map(|leak| format!("{} ~ {}", leak.val, leak.train));
        row("leaks", with_examples(words, pairs));
    }
    row(
        "speed",
        format!(
            "{:.0} images a second a core, decoding",
            report.images_a_second_a_core
        ),
    );
    if report.stops.is_empty() {
        row("verdict", "nothing here stops a run".into());
    }
    text
}

fn sizes(sizes: &Sizes) -> String {
    let of: usize = sizes.short_sides.iter().map(|(_, count)| count).sum();
    let (Some(commonest), Some(smallest), Some(largest)) =
        (sizes.commonest, sizes.smallest, sizes.largest)
    else {
        return "none could be read".into();
    };
    let size = |(w, h): (u32, u32)| format!("{w} x {h}");
    let share = |count: usize| format!("{:.0} %", 100.0 * count as f64 / of.max(1) as f64);
    if smallest == largest {
        return format!("all {}", size(smallest));
    }
    let parts = sizes.short_sides.iter();
    let parts: Vec<String> = parts
        .map(|(words, count)| format!("{} {words}", share(*count)))
        .collect();
    format!(
        "{} to {}, {} of them {}; short side: {}",
        size(smallest),
        size(largest),
        share(sizes.commonest_images),
        size(commonest),
        parts.join(", ")
    )
}

fn classes(classes: &BTreeMap<String, usize>) -> String {
    match (classes.values().min(), classes.values().max()) {
        (Some(least), Some(most)) => format!(
            "{}, of {} to {} images",
            classes.len(),
            grouped(*least),
            grouped(*most)
        ),
        _ => "none: fine for training, not for evaluation".into(),
    }
}

fn bad(report: &Report) -> String {
    let count = report.bad.len();
    let words = match count {
        0 => "none".into(),
        _ => format!("{}, which training leaves out", images(count)),
    };
    with_examples(words, report.bad.iter().map(|bad| bad.to_string()))
}

fn same(report: &Report) -> String {
    let words = format!(
        "{} byte for byte as others, {} pixel for pixel",
        images(extra(&report.equal_files)),
        grouped(extra(&report.equal_pixels))
    );
    let groups = report.equal_pixels.iter();
    with_examples(words, groups.map(|group| group[..2].join(" = ")))
}

/// Images that could go without a picture being lost.
fn extra(groups: &[Vec<String>]) -> usize {
    groups.iter().map(|group| group.len() - 1).sum()
}

fn images(count: usize) -> String {
    match count {
        1 => "1 image".into(),
        _ => format!("{} images", grouped(count)),
    }
}

fn with_examples(words: String, examples: impl Iterator<Item = String>) -> String {
    let examples = examples.take(EXAMPLES).map(|e| format!("\n          {e}"));
    examples.fold(words, |text, example| text + &example)
}
