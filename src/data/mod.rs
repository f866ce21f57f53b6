//! Images, from the disk to batches of uint8 crops.
