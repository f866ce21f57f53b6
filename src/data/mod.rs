//! Images, from the disk to batches of uint8 crops.
//!
//! [`Dataset`] names every image behind the user's words and decodes any of them; [`Loader`] turns
//! it into training batches, [`resident`] into one block for the device, [`evaluation_batches`]
//! into un-augmented batches. Everything random is a function of (seed, epoch, image): the number
//! of threads, the order of work and a restart change nothing.
pub mod clock;
pub mod crop;
mod dataset;
pub mod decode;
pub mod duplicates;
mod evaluation;
mod image;
pub mod inspect;
mod loader;
mod ordered;
pub mod permutations;
mod recycled;
mod resident;
pub mod sampler;
mod shard;
mod source;
pub mod views;
mod whole;

pub use dataset::Dataset;
pub use evaluation::{EvaluationBatch, EvaluationBatches, evaluation_batches};
pub use image::{BadImage, Image, too_many_bad};
pub use loader::{HostBatch, Loader, Plan};
pub use recycled::Pixels;
pub use resident::{Resident, resident, resident_unless};
pub use shard::{Packed, Packing, pack};
pub use source::{IndexCache, keep_indexes_in};
pub use views::Views;
