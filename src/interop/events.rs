//! TensorBoard's event files: numbers, pictures and texts by step, as its protocol buffers say them (fields
//! numbered as in `event.proto` and `summary.proto`), framed as TensorFlow's records.
use prost::{Message, Oneof};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum What {
    /// A file's first event.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

impl SessionLog {
    /// What earlier events, in this file and those before it by name, say of the event's step and later ones
    /// no longer holds.
    pub const START: SessionLog = SessionLog { status: 1 };
}

#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
    #[prost(oneof = "Content", tags = "2, 4, 8")]
    pub content: Option<Content>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "8")]
    Tensor(Strings),
}

#[derive(Clone, PartialEq, Message)]
pub struct Image {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// 3: RGB.
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub png: Vec<u8>,
}

/// A `TensorProto` of strings.
#[derive(Clone, PartialEq, Message)]
pub struct Strings {
    /// 7: strings.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub values: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Plugin {
    #[prost(string, tag = "1")]
    pub name: String,
}

impl Value {
    pub fn scalar(tag: &str, value: f64) -> Value {
        Value::new(tag, Content::Scalar(value as f32))
    }

    /// Of `png`, which shows width x height pixels.
    pub fn image(tag: &str, [width, height]: [u32; 2], png: Vec<u8>) -> Value {
        let image = Image {
            height: height as i32,
            width: width as i32,
            colorspace: 3,
            png,
        };
        Value::new(tag, Content::Image(image))
    }

    /// Markdown.
    pub fn text(tag: &str, text: &str) -> Value {
        let plugin = Plugin {
            name: "text".into(),
        };
        let strings = Strings {
            dtype: 7,
            values: vec![text.into()],
        };
        Value {
            metadata: Some(Metadata {
                plugin: Some(plugin),
            }),
            ..Value::new(tag, Content::Tensor(strings))
        }
    }

    fn new(tag: &str, content: Content) -> Value {
        Value {
            tag: tag.into(),
            metadata: None,
            content: Some(content),
        }
    }
}

/// Events one after another; each is written when it is given.
pub struct EventFile(File);

impl EventFile {
    /// A new file; errors where there is one.
    pub fn create(path: &Path, wall_time: f64) -> io::Result<EventFile> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let mut file = EventFile(file?);
        file.write(&Event {
            wall_time,
            step: 0,
            what: Some(What::FileVersion("brain.Event:2".into())),
        })?;
        Ok(file)
    }

    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        self.0.write_all(&record(&event.encode_to_vec()))
    }
}

/// A record: the length of `data` (u64), a checksum of these eight bytes, the data, its checksum; the numbers
/// little-endian.
pub fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let checksum = |bytes: &[u8]| masked(crc32c::crc32c(bytes)).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

/// A checksum of data that may hold checksums.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: String = hex.split_whitespace().collect();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    fn summary(values: Vec<Value>) -> Option<What> {
        Some(What::Summary(Summary { values }))
    }

    /// Against what TensorBoard 2.21's own `RecordWriter` and messages give.
    #[test]
    fn records_are_tensorboards() {
        let file_version = Some(What::FileVersion("brain.Event:2".into()));
        let start = Some(What::SessionLog(SessionLog::START));
        let loss = summary(vec![Value::scalar("train/loss", 5.5)]);
        let image = Value::image("v", [3, 2], b"png".into());
        let both = summary(vec![image, Value::text("c", "hi")]);
        for (wall_time, step, what, expected) in [
            (
                1.5,
                0,
                file_version,
                "18000000 00000000 a37f4b22 09000000000000f83f1a0d627261696e2e4576656e743a32 2a28646c",
            ),
            (
                1795489929.25,
                300,
                loss,
                "21000000 00000000 017becf6 090000502240c1da4110ac022a130a110a0a747261696e2f6c6f73731500
                 00b040 3b2408d8",
            ),
            (
                2.0,
                7,
                start,
                "0f000000 00000000 6d532b09 09000000000000004010073a020801 d1715dcb",
            ),
            (
                2.0,
                1,
                both,
                "36000000 00000000 4f578cef 09000000000000004010012a290a100a0176220b0802100318032203706e
                 670a150a016342060807420268694a080a060a0474657874 ffe4bd9e",
            ),
        ] {
            let event = Event {
                wall_time,
                step,
                what,
            };
            assert_eq!(record(&event.encode_to_vec()), bytes(expected), "{event:?}");
        }
    }
}
