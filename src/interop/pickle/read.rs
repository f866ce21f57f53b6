//! The tensors of any pickle, of any protocol that `torch.save` was ever asked for. What is read is a
//! graph of nodes: an object that the pickle would have made by calling something is a node without
//! meaning. Memory is bounded by the pickle's length, and so is time.
use super::{PARAMETER, REBUILD, View};
use std::collections::{HashMap, HashSet};

type Result<T> = std::result::Result<T, String>;

/// Dictionaries within dictionaries that are looked into: `{"state_dict": {...}}` is one.
const DEPTH: usize = 4;
/// What a name may be long, a tensor have dimensions, and a file tensors: a pickle can say the same thing
/// many times in few bytes.
const NAME_BYTES: usize = 256;
const DIMENSIONS: usize = 8;
const TENSORS: usize = 1 << 16;

/// Every tensor that stands under a name, as `outer.inner.name`.
pub fn tensors(pickle: &[u8]) -> Result<Vec<(String, View)>> {
    let mut machine = Machine {
        rest: pickle,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    let mut found = Vec::new();
    machine.collect(root, "", DEPTH, &mut HashSet::new(), &mut found);
    Ok(found)
}

type Id = usize;

#[derive(Clone, Debug)]
enum Node {
    /// None, a number with a point, an object: nothing that a tensor is made of.
    Other,
    Integer(i64),
    Word(String),
    /// A class or a function, by its name.
    Global(String, String),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Storage {
        class: String,
        key: String,
    },
    Tensor(View),
}

struct Machine<'a> {
    /// Not yet read.
    rest: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// How long the stack was at each open MARK.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let opcode = self.take(1)?[0];
            match opcode {
                b'.' => return self.pop(),
                b'\x80' => drop(self.take(1)?), // PROTO
                b'\x95' => drop(self.take(8)?), // FRAME
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'R' | b'\x81' => self.call()?,
                b'b' => drop(self.pop()?), // BUILD: an object's own state
                b'Q' => self.storage()?,
                b'q' | b'r' | b'\x94' | b'h' | b'j' => self.remember(opcode)?,
                b'}' | b']' | b')' | b'\x8f' | b't' | b'\x85' | b'\x86' | b'\x87' | b's' | b'u'
                | b'a' | b'e' | b'\x90' => self.contain(opcode)?,
                _ => self.scalar(opcode)?,
            }
        }
    }

    /// Numbers, words and names.
    fn scalar(&mut self, opcode: u8) -> Result<()> {
        let node = match opcode {
            b'N' | b'\x88' | b'\x89' => Node::Other,
            b'G' => self.skip(8)?,
            b'J' => Node::Integer(i32::from_le_bytes(self.array()?).into()),
            b'K' => Node::Integer(self.take(1)?[0].into()),
            b'M' => Node::Integer(u16::from_le_bytes(self.array()?).into()),
            b'\x8a' => self.long()?,
            b'X' | b'T' => self.word(4)?,
            b'U' | b'\x8c' => self.word(1)?,
            b'\x8d' => self.word(8)?,
            b'C' => {
                let length = self.length(1)?;
                self.skip(length)?
            }
            b'B' => {
                let length = self.length(4)?;
                self.skip(length)?
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                match module.len() + name.len() <= NAME_BYTES {
                    true => Node::Global(module, name),
                    false => Node::Other,
                }
            }
            b'\x93' => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.name(module), self.name(name)) {
                    (Some(module), Some(name)) => Node::Global(module.into(), name.into()),
                    _ => Node::Other,
                }
            }
            other => {
                return Err(format!(
                    "its pickle has an opcode {other:#04x}, not one of torch.save's"
                ));
            }
        };
        self.push(node);
        Ok(())
    }

    /// Tuples, dictionaries, and what has no names: lists and sets.
    fn contain(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'}' => self.push(Node::Dict(Vec::new())),
            b']' | b'\x8f' => self.push(Node::Other),
            b')' => self.push(Node::Tuple(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items));
            }
            b'\x85'..=b'\x87' => {
                let length = usize::from(opcode - 0x84);
                let items = self.last(length)?;
                self.push(Node::Tuple(items));
            }
            b's' => {
                let pair = self.last(2)?;
                self.set(&pair)?;
            }
            b'u' => {
                let pairs = self.since_mark()?;
                self.set(&pairs)?;
            }
            b'a' => drop(self.pop()?),
            _ => drop(self.since_mark()?), // APPENDS, ADDITEMS
        }
        Ok(())
    }

    /// Keys and values into the dictionary below them; into an object, they are passed over.
    fn set(&mut self, pairs: &[Id]) -> Result<()> {
        let target = *self.stack.last().ok_or("its pickle ends too early")?;
        if let Node::Dict(items) = &mut self.nodes[target] {
            let pairs = pairs.chunks_exact(2);
            items.extend(pairs.map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    /// What a call would make, where that is known without calling.
    fn call(&mut self) -> Result<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let arguments = match &self.nodes[arguments] {
            Node::Tuple(items) => &items[..],
            _ => &[],
        };
        let made = match &self.nodes[callee] {
            Node::Global(module, name) => match (&module[..], &name[..]) {
                REBUILD => self.view(arguments).map_or(Node::Other, Node::Tensor),
                PARAMETER => match arguments.first() {
                    Some(&tensor) => self.nodes[tensor].clone(),
                    None => Node::Other,
                },
                ("collections", "OrderedDict") => Node::Dict(Vec::new()),
                _ => Node::Other,
            },
            _ => Node::Other,
        };
        self.push(made);
        Ok(())
    }

    /// Of `_rebuild_tensor_v2`'s arguments.
    fn view(&self, arguments: &[Id]) -> Option<View> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return None;
        };
        let Node::Storage { class, key } = &self.nodes[*storage] else {
            return None;
        };
        let size = |id: &Id| match self.nodes[*id] {
            Node::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        let sizes = |id: &Id| match &self.nodes[*id] {
            Node::Tuple(items) if items.len() <= DIMENSIONS => {
                items.iter().map(size).collect::<Option<Vec<usize>>>()
            }
            _ => None,
        };
        let view = View {
            storage: key.clone(),
            class: class.clone(),
            offset: size(offset)?,
            shape: sizes(shape)?,
            strides: sizes(strides)?,
        };
        (view.shape.len() == view.strides.len()).then_some(view)
    }

    /// BINPERSID: `("storage", class, key, device, elements)`.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let node = match &self.nodes[id] {
            Node::Tuple(items) if items.len() >= 3 => {
                match (&self.nodes[items[1]], self.name(items[2])) {
                    (Node::Global(module, class), Some(key)) => Node::Storage {
                        class: format!("{module}.{class}"),
                        key: key.into(),
                    },
                    _ => Node::Other,
                }
            }
            _ => Node::Other,
        };
        self.push(node);
        Ok(())
    }

    /// BINPUT and BINGET in their forms.
    fn remember(&mut self, opcode: u8) -> Result<()> {
        let key = match opcode {
            b'q' | b'h' => self.length(1)?,
            b'r' | b'j' => self.length(4)?,
            _ => self.memo.len(), // MEMOIZE
        };
        if matches!(opcode, b'h' | b'j') {
            let id = self.memo.get(&key);
            let id = *id.ok_or("its pickle refers to what it does not hold")?;
            self.stack.push(id);
        } else {
            let id = *self.stack.last().ok_or("its pickle ends too early")?;
            self.memo.insert(key, id);
        }
        Ok(())
    }

    /// Each dictionary once: one that stands in two places is read in the first.
    fn collect(
        &self,
        id: Id,
        prefix: &str,
        depth: usize,
        seen: &mut HashSet<Id>,
        found: &mut Vec<(String, View)>,
    ) {
        let Node::Dict(items) = &self.nodes[id] else {
            return;
        };
        if !seen.insert(id) {
            return;
        }
        for (key, value) in items {
            let Some(key) = self.name(*key).filter(|_| found.len() < TENSORS) else {
                continue;
            };
            let name = format!("{prefix}{key}");
            match &self.nodes[*value] {
                Node::Tensor(view) => found.push((name, view.clone())),
                _ if depth > 0 => {
                    self.collect(*value, &format!("{name}."), depth - 1, seen, found);
                }
                _ => {}
            }
        }
    }

    /// A word that is short enough to be a name.
    fn name(&self, id: Id) -> Option<&str> {
        match &self.nodes[id] {
            Node::Word(word) if word.len() <= NAME_BYTES => Some(word),
            _ => None,
        }
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    fn pop(&mut self) -> Result<Id> {
        Ok(self.stack.pop().ok_or("its pickle ends too early")?)
    }

    fn last(&mut self, count: usize) -> Result<Vec<Id>> {
        let from = self.stack.len().checked_sub(count);
        Ok(self
            .stack
            .split_off(from.ok_or("its pickle ends too early")?))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        let mark = mark.ok_or("its pickle closes what it did not open")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.rest.split_at_checked(count);
        let (taken, rest) = taken.ok_or("its pickle ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    /// An unsigned number of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<usize> {
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|e| e.to_string())
    }

    fn skip(&mut self, bytes: usize) -> Result<Node> {
        self.take(bytes).map(|_| Node::Other)
    }

    /// LONG1: an integer, where it is no longer than ours are.
    fn long(&mut self) -> Result<Node> {
        let length = self.length(1)?;
        let bytes = self.take(length)?;
        if length > 8 {
            return Ok(Node::Other);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        Ok(Node::Integer(i64::from_le_bytes(wide)))
    }

    fn word(&mut self, length_bytes: usize) -> Result<Node> {
        let length = self.length(length_bytes)?;
        let bytes = self.take(length)?;
        Ok(Node::Word(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Up to a line's end.
    fn line(&mut self) -> Result<String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or("its pickle ends too early")?)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }
}
