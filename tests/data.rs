//! The data side: formats, sources, crops, the loader's promises, the synthetic set.
mod data {
    mod crops;
    mod formats;
    mod loader;
    mod permutations;
    mod real;
    mod samples;
    mod sources;
    mod synthetic;
    mod views;
}
