//! A million names in two allocations: one text and where each name ends in it.
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Byte strings (a path need not be UTF-8), each with a label.
#[derive(Default)]
pub(in crate::data) struct Names {
    pub text: Vec<u8>,
    pub ends: Vec<u64>,
    pub labels: Labels,
}

/// Class names sorted by their bytes, and a class for each item or [`Labels::NONE`].
#[derive(Default)]
pub(in crate::data) struct Labels {
    pub classes: Vec<String>,
    pub of: Vec<u32>,
}

impl Names {
    pub fn new(items: impl IntoIterator<Item = Vec<u8>>, labels: Labels) -> Names {
        let mut names = Names {
            labels,
            ..Names::default()
        };
        for item in items {
            names.text.extend_from_slice(&item);
            names.ends.push(names.text.len() as u64);
        }
        assert_eq!(names.len(), names.labels.of.len(), "a label for every name");
        names
    }

    /// Of names that stand one after the other in `text` and end at `ends`: sorted by their bytes, unlabelled.
    pub fn sorted(text: &[u8], ends: &[u64]) -> Names {
        let start = |at: usize| if at == 0 { 0 } else { ends[at - 1] as usize };
        let name = |at: u32| &text[start(at as usize)..ends[at as usize] as usize];
        let mut order: Vec<u32> = (0..ends.len() as u32).collect();
        order.sort_unstable_by_key(|&at| name(at));
        let mut sorted = Vec::with_capacity(text.len());
        let mut sorted_ends = Vec::with_capacity(ends.len());
        for at in order {
            sorted.extend_from_slice(name(at));
            sorted_ends.push(sorted.len() as u64);
        }
        Names {
            text: sorted,
            ends: sorted_ends,
            labels: Labels::default(),
        }
    }

    /// The same names, labelled.
    pub fn labelled(self, labels: Labels) -> Names {
        assert_eq!(self.len(), labels.of.len(), "a label for every name");
        Names { labels, ..self }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|index| self.get(index).as_bytes())
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, index: usize) -> &OsStr {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        OsStr::from_bytes(&self.text[start as usize..self.ends[index] as usize])
    }

    pub fn label(&self, index: usize) -> Option<u32> {
        self.labels.get(index)
    }

    pub fn classes(&self) -> &[String] {
        &self.labels.classes
    }
}

impl Labels {
    pub const NONE: u32 = u32::MAX;

    /// From one optional class name an item.
    pub fn new<'a>(names: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> Labels {
        let classes: BTreeSet<&[u8]> = names.clone().flatten().collect();
        let classes: Vec<&[u8]> = classes.into_iter().collect();
        let of = names.map(|name| match name {
            Some(name) => classes.binary_search(&name).expect("it was collected") as u32,
            None => Labels::NONE,
        });
        Labels {
            of: of.collect(),
            classes: classes.into_iter().map(text).collect(),
        }
    }

    pub fn get(&self, index: usize) -> Option<u32> {
        Some(self.of[index]).filter(|&label| label != Labels::NONE)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
