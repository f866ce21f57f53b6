//! ONNX: a network as the few of its operators that a ResNet is made of. Opset 17, in numbers of float32.
mod proto;

use super::{
    Existing, WholeFile,
    weights::{Array, Weights, floats, little_endian_floats},
};
use crate::{Error, Result};
use prost::Message;
use proto::{
    Attribute, Dimension, Entry, GraphProto, Model, Node, Operators, Shape, Tensor, TensorType,
    Type, ValueInfo,
};
use safetensors::Dtype;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

/// IR 8 and opset 17 are of 2022: runtimes since then read them.
const IR: i64 = 8;
const OPSET: i64 = 17;
const FLOAT: i32 = 1;

/// A network on its way to a file, in the order it computes. A value is named by the node that makes it.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
}

/// What goes in, pixels (n, 3, h, w) less their mean over their deviation, and what comes out, (n, d).
pub const INPUT: &str = "pixels";
pub const OUTPUT: &str = "features";

impl Graph {
    /// `weight` (out, in, kh, kw) goes into the file as `NAME.weight`; no bias.
    pub fn conv(
        &mut self,
        x: &str,
        name: &str,
        weight: &Array,
        stride: u32,
        padding: u32,
    ) -> String {
        let &[_, _, kh, kw] = weight.shape.dims() else {
            panic!("{name}: a convolution's weight is {}", weight.shape);
        };
        let weight = self.tensor(format!("{name}.weight"), weight);
        let attributes = vec![
            Attribute::of_integers("kernel_shape", &[kh as i64, kw as i64]),
            Attribute::of_integers("strides", &[stride.into(); 2]),
            Attribute::of_integers("pads", &[padding.into(); 4]),
        ];
        self.node("Conv", name, vec![x.into(), weight], attributes)
    }

    /// By running statistics. `parts`: weight, bias, running mean and running variance, (c) each.
    pub fn batch_norm(&mut self, x: &str, name: &str, parts: [&Array; 4], epsilon: f32) -> String {
        let names = ["weight", "bias", "running_mean", "running_var"];
        let parts = names.iter().zip(parts);
        let parts = parts.map(|(part, array)| self.tensor(format!("{name}.{part}"), array));
        let inputs: Vec<String> = [x.to_string()].into_iter().chain(parts).collect();
        let attributes = vec![Attribute::of_float("epsilon", epsilon)];
        self.node("BatchNormalization", name, inputs, attributes)
    }

    pub fn relu(&mut self, x: &str) -> String {
        self.node("Relu", &format!("{x}.relu"), vec![x.into()], Vec::new())
    }

    pub fn max_pool(&mut self, x: &str, window: u32, stride: u32, padding: u32) -> String {
        let attributes = vec![
            Attribute::of_integers("kernel_shape", &[window.into(); 2]),
            Attribute::of_integers("strides", &[stride.into(); 2]),
            Attribute::of_integers("pads", &[padding.into(); 4]),
        ];
        self.node("MaxPool", &format!("{x}.pool"), vec![x.into()], attributes)
    }

    pub fn add(&mut self, a: &str, b: &str) -> String {
        self.node(
            "Add",
            &format!("{a}.add"),
            vec![a.into(), b.into()],
            Vec::new(),
        )
    }

    /// (n, c, h, w) to the network's output (n, c).
    pub fn global_average_pool(&mut self, x: &str) -> String {
        let pooled = self.node("GlobalAveragePool", "avgpool", vec![x.into()], Vec::new());
        let axis = vec![Attribute::of_integer("axis", 1)];
        self.node("Flatten", OUTPUT, vec![pooled], axis)
    }

    fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: Vec<String>,
        attributes: Vec<Attribute>,
    ) -> String {
        self.nodes.push(Node {
            inputs,
            outputs: vec![name.into()],
            name: name.into(),
            operator: operator.into(),
            attributes,
        });
        name.into()
    }

    fn tensor(&mut self, name: String, array: &Array) -> String {
        self.tensors.push(Tensor {
            dims: array.shape.dims().iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            name: name.clone(),
            raw_data: little_endian_floats(array),
        });
        name
    }

    /// Of `dim` features; n, h and w are any. `notes` are the model's metadata.
    pub fn write(
        self,
        path: &Path,
        dim: usize,
        notes: &HashMap<String, String>,
        existing: Existing,
    ) -> Result<()> {
        let any = |name: &str| Dimension::named(name);
        let pixels = [any("n"), Dimension::of(3), any("h"), any("w")];
        let features = [any("n"), Dimension::of(dim as i64)];
        let sorted: BTreeMap<&String, &String> = notes.iter().collect();
        let note = |(key, value): (&String, &String)| Entry {
            key: key.clone(),
            value: value.clone(),
        };
        let model = Model {
            ir_version: IR,
            producer_name: "selfsame".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(GraphProto {
                nodes: self.nodes,
                name: "encoder".into(),
                initializers: self.tensors,
                inputs: vec![value(INPUT, pixels.into())],
                outputs: vec![value(OUTPUT, features.into())],
            }),
            operators: vec![Operators {
                domain: String::new(),
                version: OPSET,
            }],
            metadata: sorted.into_iter().map(note).collect(),
        };
        let mut whole = WholeFile::create(path, existing)?;
        whole.write(&model.encode_to_vec())?;
        whole.finish()
    }
}

fn value(name: &str, dims: Vec<Dimension>) -> ValueInfo {
    let shape = Shape { dims };
    ValueInfo {
        name: name.into(),
        kind: Some(Type {
            tensor: Some(TensorType {
                element: FLOAT,
                shape: Some(shape),
            }),
        }),
    }
}

/// The tensors of a file that [`Graph::write`] wrote, and its notes.
pub fn read(path: &Path) -> Result<Weights> {
    let broken = |why: String| Error::Checkpoint {
        path: path.into(),
        why: format!("not an ONNX file: {why}"),
    };
    let bytes = fs::read(path).map_err(Error::file(path))?;
    let model = Model::decode(&bytes[..]).map_err(|e| broken(e.to_string()))?;
    let graph = model
        .graph
        .ok_or_else(|| broken("it has no graph".into()))?;
    let mut arrays = BTreeMap::new();
    for tensor in graph.initializers {
        let shape: Vec<usize> = tensor.dims.iter().map(|&size| size as usize).collect();
        let values = floats(Dtype::F32, &tensor.raw_data).expect("floats are floats");
        if tensor.data_type != FLOAT || shape.iter().product::<usize>() != values.len() {
            return Err(broken(format!("{} is no tensor of floats", tensor.name)));
        }
        arrays.insert(tensor.name, Array::new(&shape[..], values));
    }
    let notes = model
        .metadata
        .into_iter()
        .map(|note| (note.key, note.value));
    Ok(Weights {
        path: path.into(),
        arrays,
        notes: notes.collect(),
    })
}
