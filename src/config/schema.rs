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
    let (schema, mut keys) = (schema(), Vec::new());
    collect(&schema, &schema, "", &mut keys);
    keys.sort();
    keys.dedup();
    keys
}

fn collect(part: &Json, whole: &Json, way: &str, keys: &mut Vec<String>) {
    if let Some(properties) = part.get("properties").and_then(Json::as_object) {
        for (key, inner) in properties {
            let key = if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
            collect(inner, whole, &key, keys);
            keys.push(key);
        }
    }
    let shared = part.get("$ref").and_then(Json::as_str).and_then(|name| whole.pointer(name.strip_prefix('#')?));
    let below = [part.get("items"), part.get("additionalProperties"), shared];
    let either = part.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    for inner in below.into_iter().flatten().chain(either) {
        collect(inner, whole, way, keys);
    }
}
