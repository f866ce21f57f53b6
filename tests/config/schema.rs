//! The schema that editors check a file by, against what reads it.
use crate::{error_of, preset};
use selfsame::config::{Config, PRESETS, Preset, schema, values};
use serde_json::Value;

#[test]
fn the_schema_takes_what_is_read_and_refuses_what_is_not() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let valid = |text: &str| {
        let table: toml::Table = toml::from_str(text).unwrap();
        takes(&schema, &serde_json::to_value(table).unwrap())
    };
    for Preset { name, layers, .. } in PRESETS {
        assert!(valid(&preset(name).to_toml()), "{name}");
        assert!(layers.iter().all(|layer| valid(layer)), "{name}");
    }
    for wrong in [
        "[schedule]\nlearning_rate = 0.1",
        "epochs = 3",
        "[encoder]\narch = \"resnet5\"",
        "[augment]\nblur_sigma = [0.1, 2.0, 3.0]",
        "[schedule]\nbatch = \"many\"",
        "[schedule]\nbatch = -3",
        "[optimize]\nlr = true",
    ] {
        assert!(!valid(wrong), "{wrong}");
        error_of(wrong); // and reading agrees
    }
    let described = &schema["properties"]["schedule"]["properties"]["batch"];
    assert_eq!(described["description"], "Images a step.");
    let count: usize = schema["properties"]
        .as_object()
        .unwrap()
        .values()
        .map(|section| section["properties"].as_object().unwrap().len())
        .sum();
    assert_eq!(
        count,
        values(&Config::default()).len() + 4,
        "and four that may be absent"
    );
}

/// What JSON Schema says of the keywords that ours uses; another keyword is an error.
fn takes(schema: &Value, value: &Value) -> bool {
    let all =
        |items: &Value, every: &dyn Fn(&Value) -> bool| items.as_array().unwrap().iter().all(every);
    let count = |items: &Value| {
        items
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| takes(s, value))
            .count()
    };
    let number = |of: &Value| of.as_f64().unwrap();
    schema
        .as_object()
        .unwrap()
        .iter()
        .all(|(keyword, said)| match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "format" => true,
            "type" => match said {
                Value::String(one) => is_a(one, value),
                several => !all(several, &|one| !is_a(one.as_str().unwrap(), value)),
            },
            "const" => said == value,
            "enum" => said.as_array().unwrap().contains(value),
            "oneOf" => count(said) == 1,
            "anyOf" => count(said) > 0,
            "minimum" => value.as_f64().is_none_or(|n| n >= number(said)),
            "maximum" => value.as_f64().is_none_or(|n| n <= number(said)),
            "minItems" => value
                .as_array()
                .is_none_or(|v| v.len() as f64 >= number(said)),
            "maxItems" => value
                .as_array()
                .is_none_or(|v| v.len() as f64 <= number(said)),
            "items" => !value.is_array() || all(value, &|item| takes(said, item)),
            "properties" => {
                let mut held = value.as_object().into_iter().flatten();
                held.all(|(key, value)| said.get(key).is_none_or(|schema| takes(schema, value)))
            }
            "additionalProperties" => {
                assert_eq!(said, false);
                let mut held = value.as_object().into_iter().flatten();
                held.all(|(key, _)| schema["properties"].get(key).is_some())
            }
            _ => panic!("what does `{keyword}` mean?"),
        })
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        _ => panic!("what is a {name}?"),
    }
}
