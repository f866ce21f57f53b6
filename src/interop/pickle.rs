//! The pickle inside a `.pth`, written and read as data. Reading calls nothing and imports nothing: a
//! name that the pickle asks for is a word, and of all that calling it would make, tensors are described
//! and the rest is passed over.
mod read;
mod write;

pub use read::tensors;
pub use write::{Fact, document};

/// A tensor as a pickle has it: a view of a storage that lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The storage's key: `data/KEY` of the archive.
    pub storage: String,
    /// `torch.FloatStorage`, ...
    pub class: String,
    /// In elements.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// In elements, one a dimension.
    pub strides: Vec<usize>,
}

const REBUILD: (&str, &str) = ("torch._utils", "_rebuild_tensor_v2");
const PARAMETER: (&str, &str) = ("torch._utils", "_rebuild_parameter");
