//! Reads the parameter structs of a kernel file and writes their Rust twins, so that the two can never
//! differ: `struct Name { const real* x; u32 rows, cols; };` then `KERNEL(kernel, Name)`.
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

pub struct File {
    pub path: PathBuf,
    /// The file's name without `.cu`: the op.
    pub name: String,
    structs: Vec<Struct>,
}

struct Struct {
    name: String,
    kernel: String,
    comment: Vec<String>,
    /// Or why they are no parameters: a struct that no kernel takes is the file's own affair.
    fields: Result<Vec<Field>, String>,
}

struct Field {
    name: String,
    rust: &'static str,
    bytes: usize,
    offset: usize,
    /// As declared, for the documentation: `const real*`.
    declared: String,
}

pub fn parse(path: &Path) -> File {
    let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let fail = |what: &str| -> ! { panic!("{}: {what}", path.display()) };
    let lines: Vec<&str> = text.lines().collect();
    let mut structs: Vec<Struct> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(rest) = line.strip_prefix("struct ") {
            let body: String = lines[at..].join("\n");
            let end = body
                .find("};")
                .unwrap_or_else(|| fail("a struct without `};`"));
            let (name, _) = rest
                .split_once('{')
                .unwrap_or_else(|| fail("a struct without `{`"));
            let fields = &body[body.find('{').unwrap() + 1..end];
            let comment = lines[..at].iter().rev().take_while(|l| l.starts_with("//"));
            let mut comment: Vec<String> = comment.map(|l| l[2..].trim().to_string()).collect();
            comment.reverse();
            structs.push(Struct {
                name: name.trim().to_string(),
                kernel: String::new(),
                comment,
                fields: parse_fields(fields),
            });
        }
        if let Some(rest) = line.strip_prefix("KERNEL") {
            let arguments = rest
                [rest.find('(').unwrap_or_else(|| fail("KERNEL without `(`")) + 1..]
                .split(')')
                .next()
                .unwrap()
                .split(',')
                .map(str::trim)
                .collect::<Vec<_>>();
            let [kernel, params, ..] = arguments[..] else {
                fail("KERNEL takes a kernel and its struct")
            };
            match structs.iter_mut().find(|s| s.name == params) {
                Some(found) => found.kernel = kernel.to_string(),
                None => fail(&format!("{kernel}: {params} is not declared above it")),
            }
        }
    }
    structs.retain(|s| !s.kernel.is_empty());
    for s in &structs {
        if let Err(why) = &s.fields {
            fail(&format!("{}: {why}", s.name));
        }
    }
    let name = path.file_stem().unwrap().to_str().unwrap().to_string();
    File {
        path: path.to_path_buf(),
        name,
        structs,
    }
}

fn parse_fields(text: &str) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    let mut offset = 0;
    let without_comments: String = text
        .lines()
        .map(|l| l.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join(" ");
    for field in without_comments
        .split(';')
        .map(str::trim)
        .filter(|f| !f.is_empty())
    {
        let pointer = field.contains('*');
        let at = if pointer {
            field.rfind('*').unwrap() + 1
        } else {
            field.find(' ').ok_or("a field without a type")?
        };
        let (kind, names) = field.split_at(at);
        let (rust, bytes) = match kind.trim() {
            _ if pointer => ("Ptr", 8),
            "u64" => ("u64", 8),
            "u32" => ("u32", 4),
            "i32" => ("i32", 4),
            "float" => ("f32", 4),
            other => {
                return Err(format!(
                    "`{other}` is no parameter type (u32, i32, u64, float, pointers)"
                ));
            }
        };
        for name in names.split(',').map(str::trim) {
            offset = usize::next_multiple_of(offset, bytes);
            fields.push(Field {
                name: name.into(),
                rust,
                bytes,
                offset,
                declared: kind.trim().into(),
            });
            offset += bytes;
        }
    }
    Ok(fields)
}

impl Struct {
    fn fields(&self) -> &[Field] {
        self.fields.as_deref().expect("checked by `parse`")
    }
    fn bytes(&self) -> usize {
        let end = self.fields().last().map_or(0, |f| f.offset + f.bytes);
        let align = self.fields().iter().map(|f| f.bytes).max().unwrap_or(1);
        end.next_multiple_of(align)
    }
}

/// C++ that fails to compile where a struct's layout is not the one the Rust twin packs.
pub fn checks(file: &File) -> String {
    let mut text = String::new();
    for s in &file.structs {
        writeln!(
            text,
            "static_assert(sizeof({}) == {}, \"size\");",
            s.name,
            s.bytes()
        )
        .unwrap();
        for f in s.fields() {
            writeln!(
                text,
                "static_assert(__builtin_offsetof({}, {}) == {}, \"offset\");",
                s.name, f.name, f.offset
            )
            .unwrap();
        }
    }
    text
}

/// The Rust twins. With `host` each also names its entry in the emulator.
pub fn rust(files: &[File], host: bool) -> String {
    let mut text = String::new();
    for (file, s) in files
        .iter()
        .flat_map(|f| f.structs.iter().map(move |s| (f, s)))
    {
        for line in &s.comment {
            writeln!(text, "/// {line}").unwrap();
        }
        writeln!(
            text,
            "///\n/// Parameters of `{}` (`{}`).",
            s.kernel,
            file.path.display()
        )
        .unwrap();
        writeln!(
            text,
            "#[derive(Clone, Copy, Debug)]\npub struct {} {{",
            s.name
        )
        .unwrap();
        for f in s.fields() {
            writeln!(
                text,
                "    /// `{}`\n    pub {}: {},",
                f.declared, f.name, f.rust
            )
            .unwrap();
        }
        text.push_str("}\n");
        write_parameters(&mut text, file, s, host);
    }
    text.push_str("/// Every kernel of `kernels/`.\npub static ALL: &[&KernelInfo] = &[\n");
    for s in files.iter().flat_map(|f| &f.structs) {
        writeln!(text, "    {}::INFO,", s.name).unwrap();
    }
    text.push_str("];\n");
    text
}

fn write_parameters(text: &mut String, file: &File, s: &Struct, host: bool) {
    let (name, kernel) = (&s.name, &s.kernel);
    if host {
        writeln!(text, "unsafe extern \"C\" {{ fn emulated_f32_{kernel}(params: *const u8); fn emulated_bf16_{kernel}(params: *const u8); }}").unwrap();
    }
    let entries = if host {
        format!("Some([emulated_f32_{kernel}, emulated_bf16_{kernel}])")
    } else {
        "None".into()
    };
    writeln!(text, "impl Parameters for {name} {{").unwrap();
    writeln!(text, "    const INFO: &'static KernelInfo = &KernelInfo {{ name: {kernel:?}, file: {:?}, emulated: {entries} }};", file.name).unwrap();
    writeln!(
        text,
        "    fn pack(&self) -> Packed {{\n        let mut packed = Packed::from_elem(0, {});",
        s.bytes()
    )
    .unwrap();
    for f in s.fields() {
        let value = if f.rust == "Ptr" {
            format!("self.{}.0", f.name)
        } else {
            format!("self.{}", f.name)
        };
        writeln!(
            text,
            "        packed[{}..{}].copy_from_slice(&{value}.to_ne_bytes());",
            f.offset,
            f.offset + f.bytes
        )
        .unwrap();
    }
    text.push_str("        packed\n    }\n}\n");
}
