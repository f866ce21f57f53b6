//! Protocol 2, in the few opcodes that `torch.load(weights_only=True)` knows.
use super::{REBUILD, View};

/// What may stand beside tensors.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    Word(&'a str),
    Yes,
}

/// `{name: tensor, ...}`, or, with a key, `{key: {name: tensor, ...}, and the facts}`.
pub fn document(tensors: &[(&str, View)], under: Option<&str>, facts: &[(&str, Fact)]) -> Vec<u8> {
    let mut out = Pickle(vec![0x80, 2]);
    if let Some(key) = under {
        out.dict(|out| {
            out.word(key);
            out.tensors(tensors);
            for (key, fact) in facts {
                out.word(key);
                match fact {
                    Fact::Word(word) => out.word(word),
                    Fact::Yes => out.0.push(0x88), // NEWTRUE
                }
            }
        });
    } else {
        out.tensors(tensors);
    }
    out.0.push(b'.'); // STOP
    out.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn tensors(&mut self, tensors: &[(&str, View)]) {
        self.dict(|out| {
            for (name, view) in tensors {
                out.word(name);
                out.tensor(view);
            }
        });
    }

    /// EMPTY_DICT, MARK, keys and values, SETITEMS.
    fn dict(&mut self, items: impl FnOnce(&mut Pickle)) {
        self.0.extend(b"}(");
        items(self);
        self.0.push(b'u');
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor(&mut self, view: &View) {
        self.name(REBUILD);
        self.tuple(|out| {
            out.tuple(|out| {
                out.word("storage");
                let (module, class) = view.class.split_once('.').expect("a class in a module");
                out.name((module, class));
                out.word(&view.storage);
                out.word("cpu");
                out.integer(view.shape.iter().product());
            });
            out.0.push(b'Q'); // BINPERSID
            out.integer(view.offset);
            for sizes in [&view.shape, &view.strides] {
                out.tuple(|out| sizes.iter().for_each(|&size| out.integer(size)));
            }
            out.0.push(0x89); // NEWFALSE
            out.name(("collections", "OrderedDict"));
            out.0.extend(b")R"); // called with nothing
        });
        self.0.push(b'R'); // REDUCE
    }

    fn tuple(&mut self, items: impl FnOnce(&mut Pickle)) {
        self.0.push(b'(');
        items(self);
        self.0.push(b't');
    }

    /// GLOBAL.
    fn name(&mut self, (module, name): (&str, &str)) {
        self.0.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    /// BINUNICODE.
    fn word(&mut self, word: &str) {
        self.0.push(b'X');
        self.0.extend((word.len() as u32).to_le_bytes());
        self.0.extend(word.as_bytes());
    }

    /// BININT where it fits, else LONG1.
    fn integer(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(small) => {
                self.0.push(b'J');
                self.0.extend(small.to_le_bytes());
            }
            Err(_) => {
                self.0.extend([0x8a, 8]);
                self.0.extend((number as i64).to_le_bytes());
            }
        }
    }
}
