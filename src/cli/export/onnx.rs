//! An encoder as an ONNX graph: pixels (n, 3, h, w), normalised, to features (n, d).
use crate::{
    Result,
    cli::weights::Loaded,
    interop::{
        Existing,
        onnx::{Graph, INPUT},
        torchvision,
        weights::Array,
    },
    nn::Scribe,
    ops::{batch_norm::EPSILON, conv2d::Stride},
};
use std::{collections::HashMap, path::Path};

pub fn write(loaded: &Loaded, path: &Path, existing: Existing) -> Result<()> {
    let mut nodes = Nodes {
        graph: Graph::default(),
        tensors: torchvision::turned(&loaded.tensors()?)
            .into_iter()
            .collect(),
    };
    let layout = loaded.params.layout();
    loaded
        .network
        .outline(layout, &mut nodes, &INPUT.to_string());
    let dim = loaded.network.features();
    nodes.graph.write(path, dim, &loaded.notes(), existing)
}

struct Nodes {
    graph: Graph,
    /// By name, convolutions (out, in, kh, kw).
    tensors: HashMap<String, Array>,
}

impl Scribe for Nodes {
    /// Its name.
    type Value = String;

    fn conv(&mut self, x: &String, name: &str, stride: Stride) -> String {
        let weight = &self.tensors[&format!("{name}.weight")];
        self.graph
            .conv(x, name, weight, stride.stride, stride.padding)
    }

    fn batch_norm(&mut self, x: &String, name: &str) -> String {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let parts = parts.map(|part| &self.tensors[&format!("{name}.{part}")]);
        self.graph.batch_norm(x, name, parts, EPSILON)
    }

    fn relu(&mut self, x: &String) -> String {
        self.graph.relu(x)
    }

    fn max_pool(&mut self, x: &String, window: u32, stride: Stride) -> String {
        self.graph
            .max_pool(x, window, stride.stride, stride.padding)
    }

    fn add(&mut self, a: &String, b: &String) -> String {
        self.graph.add(a, b)
    }

    fn global_average_pool(&mut self, x: &String) -> String {
        self.graph.global_average_pool(x)
    }
}
