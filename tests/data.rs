//! The data side: formats, sources, crops, the loader's promises, the synthetic set.
mod data {
    mod commands;
    mod crops;
    mod duplicates;
    mod formats;
    mod index;
    mod loader;
    mod permutations;
    mod real;
    mod samples;
    mod shards;
    mod sources;
    mod synthetic;
    mod views;
}
