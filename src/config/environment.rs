//! `${NAME}` in scalars.

/// Replaces `${NAME}` and `${NAME:-default}`, and says whether anything was replaced; `$${` stands for `${`.
///
/// # Errors
/// A variable that is not set and has no default, or a `${` that does not begin one.
pub fn substitute(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(String, bool), String> {
    let mut out = String::with_capacity(text.len());
    let mut replaced = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inner, tail)) = after.split_once('}') else {
            return Err("${ is not closed; write ${NAME}, or $${ for the two characters themselves".to_owned());
        };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err(format!(
                "{name:?} is no name of a variable; write ${{NAME}}, or $${{ for the two characters themselves"
            ));
        }
        // As in the shell, `:-` also stands in for a variable that is set to nothing.
        let value = lookup(name).filter(|value| default.is_none() || !value.is_empty());
        match value.or_else(|| default.map(str::to_owned)) {
            Some(value) => out.push_str(&value),
            None => {
                return Err(format!(
                    "the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                ));
            }
        }
        replaced = true;
        rest = tail;
    }
    out.push_str(rest);
    Ok((out, replaced))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        match (substitute(text, &lookup), expected) {
            (Ok((text, _)), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn names_are_replaced_and_other_dollars_stay() {
        check("a${A}b${A}", Ok("a1b1"));
        check("^x$", Ok("^x$"));
        check("$A", Ok("$A"));
        check("$${A}", Ok("${A}"));
        check("${B}", Err("variable B is not set"));
        check("${B:-x:-y}", Ok("x:-y"));
        check("${EMPTY:-x}", Ok("x"));
        check("[${EMPTY}]", Ok("[]"));
        check("${1}", Err("is no name"));
        check("a${", Err("not closed"));
    }
}
