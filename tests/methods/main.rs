//! The methods: their presets against the papers, a step of each against the same step by hand, and that a
//! stopped run of each goes on as if it had not been.
mod by_hand;
mod emulated;
mod presets;
mod resume;
#[path = "../runs/mod.rs"]
mod runs;
