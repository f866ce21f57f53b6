//! The layout of a network's parameters in one flat allocation: names, shapes, places, first values.
use crate::{
    random::{Draws, Purpose},
    shape::Shape,
};

/// Parameters start at multiples of this many floats (256 bytes), so that any of them can be read in
/// 16-byte pieces and an optimizer's block never meets two.
const ALIGNMENT: usize = 64;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with variance 2 / fan: convolutions, fan = outputs x window (He et al. 2015, fan_out).
    Normal {
        fan: usize,
    },
    /// Uniform in (-bound, bound): linear layers, bound = 1 / sqrt(inputs).
    Uniform {
        bound: f32,
    },
    Constant(f32),
}

/// One named tensor inside the flat allocation.
#[derive(Clone, Debug)]
pub struct Entry {
    /// torchvision's name for the backbone, `head.…` for what the method adds.
    pub name: String,
    /// Convolutions (k, r, s, c); linear layers (outputs, inputs); vectors (c).
    pub shape: Shape,
    /// In floats, from the start of the allocation.
    pub offset: usize,
    init: Init,
}

impl Entry {
    pub fn len(&self) -> usize {
        self.shape.len()
    }
    pub fn is_empty(&self) -> bool {
        self.shape.is_empty()
    }
    /// Biases and batch norm's scale and shift: what LARS neither decays nor adapts.
    pub fn is_vector(&self) -> bool {
        self.shape.dims().len() == 1
    }
    /// Of what the method adds to the backbone.
    pub fn is_head(&self) -> bool {
        self.name.starts_with("head.")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterId(pub(super) usize);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticId(pub(super) usize);

/// What a network declares while it is being described.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    parameters: Vec<Entry>,
    statistics: Vec<Entry>,
}

impl Layout {
    pub fn parameter(&mut self, name: String, shape: impl Into<Shape>, init: Init) -> ParameterId {
        push(&mut self.parameters, name, shape.into(), init);
        ParameterId(self.parameters.len() - 1)
    }
    /// What batch norm remembers: no gradient reaches it.
    pub fn statistic(&mut self, name: String, shape: impl Into<Shape>, value: f32) -> StatisticId {
        push(
            &mut self.statistics,
            name,
            shape.into(),
            Init::Constant(value),
        );
        StatisticId(self.statistics.len() - 1)
    }
    /// In the order they were declared, which is torchvision's.
    pub fn parameters(&self) -> &[Entry] {
        &self.parameters
    }
    pub fn entry(&self, id: ParameterId) -> &Entry {
        &self.parameters[id.0]
    }
    pub fn statistics(&self) -> &[Entry] {
        &self.statistics
    }
    /// Whether it is a batch norm's scale or shift: of a layer that also has statistics.
    pub fn is_norm(&self, entry: &Entry) -> bool {
        let layer = |name: &str| name.rsplit_once('.').map(|(layer, _)| layer.to_string());
        let of = layer(&entry.name);
        self.statistics.iter().any(|s| layer(&s.name) == of)
    }
    /// Trainable numbers, gaps not counted.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(Entry::len).sum()
    }

    /// The first values of the flat allocation; gaps are zero. Entry i draws from a stream of its own, so
    /// adding a layer changes no other.
    pub(super) fn initial(&self, seed: u64) -> Vec<f32> {
        let mut values = self.zeros();
        for (i, entry) in self.parameters.iter().enumerate() {
            let mut draws = Draws::new(seed, Purpose::Init, 0, i as u32, 0);
            let mut draw = || match entry.init {
                Init::Normal { fan } => draws.normal() * (2.0 / fan as f32).sqrt(),
                Init::Uniform { bound } => draws.uniform(-bound, bound),
                Init::Constant(value) => value,
            };
            values[entry.offset..][..entry.len()]
                .iter_mut()
                .for_each(|v| *v = draw());
        }
        values
    }
    pub(super) fn zeros(&self) -> Vec<f32> {
        vec![0.0; end(&self.parameters)]
    }
    pub(super) fn initial_statistics(&self) -> Vec<f32> {
        let mut values = vec![0.0; end(&self.statistics)];
        for entry in &self.statistics {
            let Init::Constant(value) = entry.init else {
                unreachable!("statistics start constant")
            };
            values[entry.offset..][..entry.len()].fill(value);
        }
        values
    }
}

fn push(entries: &mut Vec<Entry>, name: String, shape: Shape, init: Init) {
    assert!(
        entries.iter().all(|e| e.name != name),
        "{name} declared twice"
    );
    let offset = end(entries);
    entries.push(Entry {
        name,
        shape,
        offset,
        init,
    });
}

/// Floats up to and with the last entry's gap.
fn end(entries: &[Entry]) -> usize {
    entries
        .last()
        .map_or(0, |e| (e.offset + e.len()).next_multiple_of(ALIGNMENT))
}
