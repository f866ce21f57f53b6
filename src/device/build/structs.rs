//! Reads the parameter structs of a kernel file and writes their Rust twins, so that the two can never
//! differ: `struct Name { const real* x; u32 rows, cols; };` then `KERNEL(name, Name)`. Several kernels may
//! take one struct: `KERNEL_BF16(name_mma, Name, threads)` becomes `Name::MMA` beside `Name::INFO`.
//! A struct of plain numbers may be a field of another: what several launches have in common.
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
    /// Those that take it; the first bears its name.
    kernels: Vec<Declared>,
    comment: Vec<String>,
    /// Or why they are no parameters: a struct that no kernel takes is the file's own affair.
    fields: Result<Vec<Field>, String>,
}

struct Declared {
    name: String,
    /// The macro: `KERNEL`, `KERNEL_BOUNDS`, `KERNEL_BF16`, `KERNEL_MAPS`.
    form: String,
}

struct Field {
    name: String,
    rust: String,
    bytes: usize,
    align: usize,
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
            let fields = parse_fields(fields, &structs);
            structs.push(Struct {
                name: name.trim().to_string(),
                kernels: Vec::new(),
                comment,
                fields,
            });
        }
        if line.starts_with("KERNEL") {
            let (kernel, params) = parse_kernel(line).unwrap_or_else(|why| fail(why));
            match structs.iter_mut().find(|s| s.name == params) {
                Some(found) => found.kernels.push(kernel),
                None => fail(&format!(
                    "{}: {params} is not declared above it",
                    kernel.name
                )),
            }
        }
    }
    let is_part = |name: &String| structs.iter().any(|s| s.takes(name));
    let parts: Vec<String> = structs
        .iter()
        .map(|s| s.name.clone())
        .filter(is_part)
        .collect();
    structs.retain(|s| !s.kernels.is_empty() || parts.contains(&s.name));
    for s in &structs {
        if let Err(why) = &s.fields {
            fail(&format!("{}: {why}", s.name));
        }
        if let Some(odd) = s.kernels.iter().find(|k| s.variant(k).is_none()) {
            fail(&format!(
                "{} takes {}: one name begins as the other",
                odd.name, s.name
            ));
        }
    }
    let name = path.file_stem().unwrap().to_str().unwrap().to_string();
    File {
        path: path.to_path_buf(),
        name,
        structs,
    }
}

/// `KERNEL(kernel, Params) {`, and its longer forms.
fn parse_kernel(line: &str) -> Result<(Declared, &str), &'static str> {
    let (form, rest) = line.split_once('(').ok_or("KERNEL without `(`")?;
    let mut arguments = rest.split([',', ')']).map(str::trim);
    let (Some(kernel), Some(params)) = (arguments.next(), arguments.next()) else {
        return Err("KERNEL takes a kernel and its struct");
    };
    let declared = Declared {
        name: kernel.into(),
        form: form.into(),
    };
    Ok((declared, params))
}

/// `known` are the structs above: one without pointers may be a field of another.
fn parse_fields(text: &str, known: &[Struct]) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::new();
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
        let (rust, bytes, align) = match kind.trim() {
            _ if pointer => ("Ptr", 8, 8),
            "u64" => ("u64", 8, 8),
            "u32" => ("u32", 4, 4),
            "i32" => ("i32", 4, 4),
            "float" => ("f32", 4, 4),
            other => match known.iter().find(|s| s.name == other && s.fields.is_ok()) {
                Some(part) => (other, part.bytes(), part.align()),
                None => {
                    return Err(format!(
                        "`{other}` is no parameter type (u32, i32, u64, float, pointers, structs of these)"
                    ));
                }
            },
        };
        for name in names.split(',').map(str::trim) {
            offset = usize::next_multiple_of(offset, align);
            fields.push(Field {
                name: name.into(),
                rust: rust.into(),
                bytes,
                align,
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
    /// What `kernel` adds to the struct's own name: `matmul_mma_128x64` of `Matmul` is `mma_128x64`.
    fn variant<'a>(&self, kernel: &'a Declared) -> Option<&'a str> {
        let mut rest = kernel.name.chars();
        for (i, letter) in self.name.chars().enumerate() {
            if letter.is_uppercase() && i > 0 && rest.next() != Some('_') {
                return None;
            }
            if rest.next() != Some(letter.to_ascii_lowercase()) {
                return None;
            }
        }
        Some(rest.as_str().trim_start_matches('_'))
    }
    /// The Rust constant that names `kernel`.
    fn constant(&self, kernel: &Declared) -> String {
        match self.variant(kernel).expect("checked by `parse`") {
            "" => "INFO".into(),
            variant if variant.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("TILE_{}", variant.to_uppercase())
            }
            variant => variant.to_uppercase(),
        }
    }
    fn bytes(&self) -> usize {
        let end = self.fields().last().map_or(0, |f| f.offset + f.bytes);
        end.next_multiple_of(self.align())
    }
    fn align(&self) -> usize {
        self.fields().iter().map(|f| f.align).max().unwrap_or(1)
    }
    /// Whether one of its fields is a struct of this name.
    fn takes(&self, name: &str) -> bool {
        self.fields.iter().flatten().any(|f| f.rust == name)
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
    let structs = || {
        files
            .iter()
            .flat_map(|f| f.structs.iter().map(move |s| (f, s)))
    };
    for (file, s) in structs() {
        for line in &s.comment {
            writeln!(text, "/// {line}").unwrap();
        }
        let kernels: Vec<String> = s.kernels.iter().map(|k| format!("`{}`", k.name)).collect();
        if !kernels.is_empty() {
            writeln!(
                text,
                "///\n/// Parameters of {} (`{}`).",
                kernels.join(", "),
                file.path.display()
            )
            .unwrap();
        }
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
        write_pack(&mut text, s);
        write_parameters(&mut text, file, s, host);
    }
    text.push_str("/// Every kernel of `kernels/`.\npub static ALL: &[&KernelInfo] = &[\n");
    for (_, s) in structs() {
        for kernel in &s.kernels {
            writeln!(text, "    {}::{},", s.name, s.constant(kernel)).unwrap();
        }
    }
    text.push_str("];\n");
    text
}

/// Writes every field where C++ has it.
fn write_pack(text: &mut String, s: &Struct) {
    writeln!(
        text,
        "impl {} {{\n    fn write(&self, packed: &mut [u8]) {{",
        s.name
    )
    .unwrap();
    for f in s.fields() {
        let (name, range) = (&f.name, format!("{}..{}", f.offset, f.offset + f.bytes));
        match f.rust.as_str() {
            "Ptr" => writeln!(
                text,
                "        packed[{range}].copy_from_slice(&self.{name}.0.to_ne_bytes());"
            ),
            "u64" | "u32" | "i32" | "f32" => {
                writeln!(
                    text,
                    "        packed[{range}].copy_from_slice(&self.{name}.to_ne_bytes());"
                )
            }
            _ => writeln!(text, "        self.{name}.write(&mut packed[{range}]);"),
        }
        .unwrap();
    }
    text.push_str("    }\n}\n");
}

fn write_parameters(text: &mut String, file: &File, s: &Struct, host: bool) {
    let (name, bytes) = (&s.name, s.bytes());
    let mut variants = String::new();
    // What these declare stands before the impl that begins below.
    let infos = s.kernels.iter().map(|k| write_info(text, file, k, host));
    let infos: Vec<String> = infos.collect();
    for (kernel, info) in s.kernels.iter().zip(infos) {
        match s.constant(kernel).as_str() {
            "INFO" => writeln!(
                text,
                "impl Parameters for {name} {{\n    const INFO: &'static KernelInfo = &{info};\n    fn pack(&self) -> Packed {{\n        let mut packed = Packed::from_elem(0, {bytes});\n        self.write(&mut packed);\n        packed\n    }}\n}}"
            )
            .unwrap(),
            constant => writeln!(
                variants,
                "    /// `{}`\n    pub const {constant}: &'static KernelInfo = &{info};",
                kernel.name
            )
            .unwrap(),
        }
    }
    if !variants.is_empty() {
        writeln!(
            text,
            "/// The other kernels that take it.\nimpl {name} {{\n{variants}}}"
        )
        .unwrap();
    }
}

/// Declares a kernel's host builds; returns its `KernelInfo`.
fn write_info(text: &mut String, file: &File, kernel: &Declared, host: bool) -> String {
    let (name, file) = (&kernel.name, &file.name);
    let both = ["KERNEL", "KERNEL_BOUNDS"].contains(&kernel.form.as_str());
    let mut entry = |real: &str, exists: bool| {
        if !(host && exists) {
            return "None".to_string();
        }
        let symbol = format!("emulated_{real}_{name}");
        writeln!(
            text,
            "unsafe extern \"C\" {{ fn {symbol}(params: *const u8); }}"
        )
        .unwrap();
        format!("Some({symbol})")
    };
    let (f32, bf16) = (entry("f32", both), entry("bf16", true));
    format!("KernelInfo {{ name: {name:?}, file: {file:?}, emulated: [{f32}, {bf16}] }}")
}
