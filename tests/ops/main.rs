//! Every op: its kernels equal their definition on every device there is, and its gradient equals
//! differences.
mod add;
mod augment;
mod augment_blur;
mod augment_color;
mod augment_crop;
mod augment_draw;
mod batch_norm;
mod batch_norm_add_relu;
mod batch_norm_relu;
mod batch_norm_relu_max_pool;
mod check;
mod conv2d;
mod conv2d_image;
mod copy;
#[cfg(emulated_kernels)]
mod counts;
mod cross_entropy;
mod ema;
mod global_average_pool;
mod l2_normalize;
mod matmul;
mod max_pool;
mod nt_xent;
mod optimize;
mod relu;
mod sinkhorn;
