//! `.pth`, as `torch.save` writes it since 1.6: a zip archive, nothing compressed, with a pickle that
//! describes tensors (`data.pkl`) and a file for each storage (`data/0`).
use super::{
    Existing, WholeFile,
    pickle::{self, Fact, View},
    weights::{Array, Stored, floats, little_endian},
};
use crate::{Error, Result};
use safetensors::Dtype;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Cursor, Write},
    ops::Range,
    path::Path,
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Storages begin at multiples of this many bytes, as PyTorch's do, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// `{name: tensor}`, or `{under: {name: tensor}, facts}`.
pub struct StateDict<'a> {
    pub tensors: &'a [(String, Stored<'a>)],
    pub under: Option<&'a str>,
    pub facts: &'a [(&'a str, Fact<'a>)],
}

/// Writes what `torch.load(path, weights_only=True)` reads, mapped into memory or not.
pub fn write(path: &Path, state: &StateDict, existing: Existing) -> Result<()> {
    let archive = archive(state).map_err(|why| Error::Checkpoint {
        path: path.into(),
        why: format!("cannot be written: {why}"),
    })?;
    let mut whole = WholeFile::create(path, existing)?;
    whole.write(&archive)?;
    whole.finish()
}

fn archive(state: &StateDict) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .with_alignment(ALIGNMENT);
    let mut file = |name: &str, bytes: &[u8]| -> zip::result::ZipResult<()> {
        let large = bytes.len() >= u32::MAX as usize;
        zip.start_file(format!("archive/{name}"), options.large_file(large))?;
        Ok(zip.write_all(bytes)?)
    };
    let views: Vec<(&str, View)> = state
        .tensors
        .iter()
        .enumerate()
        .map(|(key, (name, tensor))| (name.as_str(), view(key, tensor)))
        .collect();
    file(
        "data.pkl",
        &pickle::document(&views, state.under, state.facts),
    )?;
    file("byteorder", b"little")?;
    for (key, (_, tensor)) in state.tensors.iter().enumerate() {
        file(&format!("data/{key}"), &little_endian(tensor))?;
    }
    file("version", b"3\n")?;
    Ok(zip.finish()?.into_inner())
}

/// All of storage `key`, row-major.
fn view(key: usize, tensor: &Stored) -> View {
    let (class, shape) = match tensor {
        Stored::Floats(array) => ("torch.FloatStorage", array.shape.dims().to_vec()),
        Stored::Count(_) => ("torch.LongStorage", Vec::new()),
    };
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at];
    }
    View {
        storage: key.to_string(),
        class: class.into(),
        offset: 0,
        shape,
        strides,
    }
}

/// Every tensor of floats that stands under a name; what else the file holds is passed over.
pub fn read(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Array>> {
    let broken = |why: String| Error::Checkpoint {
        path: path.into(),
        why: format!("not a .pth file: {why}"),
    };
    let mut archive = Archive::open(bytes).map_err(broken)?;
    let pickle = archive.stored("data.pkl").map_err(broken)?;
    let views = pickle::tensors(&bytes[pickle]).map_err(broken)?;
    let mut arrays = BTreeMap::new();
    let mut read = 0;
    for (name, view) in views {
        let array = archive.array(&view);
        let array = array.map_err(|why| broken(format!("{name}: {why}")))?;
        let Some(array) = array else { continue };
        read += array.values.len();
        if read > bytes.len() {
            return Err(broken("its tensors share storages many times over".into()));
        }
        arrays.insert(name, array);
    }
    Ok(arrays)
}

struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder that all is in.
    folder: String,
    /// Where each storage lies, checked against its checksum.
    storages: HashMap<String, Range<usize>>,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Archive<'a>, String> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        let folder = |name: &str| name.strip_suffix("data.pkl").map(String::from);
        let mut names = zip.file_names().filter_map(|name| name.ok());
        let folder = names.find_map(|name| folder(&name));
        let folder = folder.ok_or("no data.pkl in the archive")?;
        drop(names);
        let mut archive = Archive {
            bytes,
            zip,
            folder,
            storages: HashMap::new(),
        };
        match archive.stored("byteorder") {
            Ok(order) if &bytes[order.clone()] != b"little" => {
                Err("its numbers are big-endian".into())
            }
            _ => Ok(archive),
        }
    }

    /// Where the bytes of a file lie.
    fn stored(&mut self, name: &str) -> Result<Range<usize>, String> {
        let name = format!("{}{name}", self.folder);
        let file = self.zip.by_name(&name);
        let mut file = file.map_err(|e| format!("{name}: {e}"))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(format!("{name} is compressed, which torch.save never does"));
        }
        let start = file.data_start().ok_or("its place is unknown")? as usize;
        let whole = start..start.saturating_add(file.size() as usize);
        if whole.end > self.bytes.len() {
            return Err(format!("{name} is longer than the file"));
        }
        io::copy(&mut file, &mut io::sink()).map_err(|e| format!("{name}: {e}"))?; // its checksum
        Ok(whole)
    }

    /// `None` where its numbers are no floats.
    fn array(&mut self, view: &View) -> Result<Option<Array>, String> {
        let (dtype, width) = match &view.class[..] {
            "torch.FloatStorage" => (Dtype::F32, 4),
            "torch.HalfStorage" => (Dtype::F16, 2),
            "torch.BFloat16Storage" => (Dtype::BF16, 2),
            "torch.DoubleStorage" => (Dtype::F64, 8),
            _ => return Ok(None),
        };
        if !self.storages.contains_key(&view.storage) {
            let place = self.stored(&format!("data/{}", view.storage))?;
            self.storages.insert(view.storage.clone(), place);
        }
        let storage = &self.bytes[self.storages[&view.storage].clone()];
        let elements = storage.len() / width;
        let gathered = gather(view, elements)?;
        let numbers = gathered
            .iter()
            .flat_map(|&at| &storage[at * width..][..width]);
        let bytes: Vec<u8> = numbers.copied().collect();
        let values = floats(dtype, &bytes).expect("one of the four above");
        Ok(Some(Array::new(&view.shape[..], values)))
    }
}

/// Where the view's elements lie in a storage of so many, in row-major order.
fn gather(view: &View, elements: usize) -> Result<Vec<usize>, String> {
    let outside = || format!("a view of {:?} lies outside its storage", view.shape);
    let count = view
        .shape
        .iter()
        .try_fold(1, |n: usize, &size| n.checked_mul(size));
    let count = count.filter(|&n| n <= elements).ok_or_else(outside)?;
    let mut places = vec![view.offset];
    if count == 0 {
        return Ok(Vec::new());
    }
    for (&size, &stride) in view.shape.iter().zip(&view.strides) {
        let last = (size - 1).checked_mul(stride);
        let most = last.and_then(|last| last.checked_add(*places.last()?));
        most.filter(|&place| place < elements).ok_or_else(outside)?;
        let along = |&place: &usize| (0..size).map(move |step| place + step * stride);
        places = places.iter().flat_map(along).collect();
    }
    match places.last() {
        Some(&last) if last < elements => Ok(places),
        _ => Err(outside()),
    }
}
