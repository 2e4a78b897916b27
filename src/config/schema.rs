//! The JSON Schema of the file, described by the readers themselves.

use serde_json::{Value as Json, json};

use super::read::Cx;
use super::sections;

/// The schema, for editors.
pub fn schema() -> Json {
    let mut schema = Cx::describe(sections::config);
    if let Json::Object(object) = &mut schema {
        object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".to_owned(), json!("Castile configuration"));
        // An included file, or one that includes, need not hold these.
        object.remove("required");
    }
    let mut presets: Vec<&str> = super::presets::all().iter().map(super::presets::Preset::name).collect();
    presets.insert(0, super::presets::DEFAULT);
    let known = json!({"enum": presets});
    let sticky = "/properties/upstreams/additionalProperties/properties/sticky/properties/presets";
    if let Some(slot) = schema.pointer_mut(sticky) {
        slot["anyOf"] = json!([known, {"type": "array", "items": known}]);
    }
    schema
}

/// Every key of the file: `upstreams.nodes.weight`, names of the user's left out.
pub fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    collect(&schema(), "", &mut keys);
    keys.sort();
    keys.dedup();
    keys
}

fn collect(schema: &Json, way: &str, keys: &mut Vec<String>) {
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        for (key, inner) in properties {
            let key = if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
            collect(inner, &key, keys);
            keys.push(key);
        }
    }
    for below in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(below) {
            collect(inner, way, keys);
        }
    }
    for inner in schema.get("anyOf").and_then(Json::as_array).into_iter().flatten() {
        collect(inner, way, keys);
    }
}
