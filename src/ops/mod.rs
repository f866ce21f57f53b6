//! One file an op: its definition, its forward, its recorded form, its backward, and at its foot what
//! each of its kernels costs and means.
pub mod add;
pub mod augment;
pub mod augment_blur;
pub mod augment_color;
pub mod augment_crop;
pub mod augment_draw;
pub mod augment_photometric;
pub mod bank_nce;
pub mod bank_update;
pub mod batch_norm;
pub mod batch_norm_add_relu;
pub mod batch_norm_relu;
pub mod batch_norm_relu_max_pool;
pub mod concat_rows;
pub mod conv2d;
pub mod conv2d_image;
pub mod copy;
pub mod cosine_distance;
pub mod cross_correlation;
pub mod cross_entropy;
pub mod deal_rows;
pub mod draw_negatives;
pub mod dropout;
pub mod ema;
pub mod global_average_pool;
pub mod info_nce;
pub mod l2_normalize;
pub mod matmul;
pub mod max_pool;
pub mod normalize_rows;
pub mod nt_xent;
pub mod optimize;
pub mod pair_patches;
pub mod relu;
pub mod reshape;
pub mod ring_push;
pub mod sinkhorn;
pub mod swapped_prediction;
pub mod weighted_sum;

pub use add::add;
pub use bank_nce::bank_nce;
pub use bank_update::{bank_first, bank_update};
pub use batch_norm::batch_norm;
pub use batch_norm_add_relu::batch_norm_add_relu;
pub use batch_norm_relu::batch_norm_relu;
pub use batch_norm_relu_max_pool::batch_norm_relu_max_pool;
pub use concat_rows::concat_rows;
pub use conv2d::{conv2d, conv2d_with_statistics};
pub use conv2d_image::conv2d_image;
pub use cosine_distance::cosine_distance;
pub use cross_correlation::cross_correlation;
pub use cross_entropy::cross_entropy;
pub use deal_rows::deal_rows;
pub use draw_negatives::draw_negatives;
pub use dropout::dropout;
pub use ema::ema;
pub use global_average_pool::global_average_pool;
pub use info_nce::info_nce;
pub use l2_normalize::l2_normalize;
pub use matmul::{linear, linear_bias, matmul};
pub use max_pool::max_pool;
pub use normalize_rows::normalize_rows;
pub use nt_xent::nt_xent;
pub use pair_patches::pair_patches;
pub use relu::relu;
pub use reshape::reshape;
pub use ring_push::{ring_first, ring_push};
pub use sinkhorn::sinkhorn;
pub use swapped_prediction::swapped_prediction;
pub use weighted_sum::weighted_sum;

/// The grid of kernels that map packs of 16 bytes: 16 elements a thread, in two to four packs.
fn flat_grid(n: u64) -> crate::device::Grid {
    crate::device::Grid::elements(n.div_ceil(16))
}
