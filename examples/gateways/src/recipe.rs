//! Lays a recipe into a folder of its own, with the ports it is written for replaced by those that
//! are free. Each replacement must be found, so that a recipe can't drift away from its test unseen.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// Copies the files of `recipe` into a folder, with each of `replacements` (from, to) made somewhere in them.
/// A number is replaced only where it stands alone.
pub(crate) fn lay(recipe: &str, replacements: &[(String, String)]) -> TempDir {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(recipe);
    let folder = tempfile::Builder::new()
        .prefix(&format!("tokenward-{recipe}-"))
        .tempdir()
        .expect("a temporary folder");
    // Workers of a gateway that root starts run as somebody else.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("the folder is ours");
    let mut made = vec![false; replacements.len()];
    let entries =
        std::fs::read_dir(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    for entry in entries.flatten() {
        let mut text = std::fs::read_to_string(entry.path())
            .unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        for ((from, to), made) in replacements.iter().zip(&mut made) {
            let after = replace_alone(&text, from, to);
            *made |= after != text;
            text = after;
        }
        std::fs::write(folder.path().join(entry.file_name()), text).expect("a copied file");
    }
    for ((from, _), made) in replacements.iter().zip(made) {
        assert!(made, "{from:?} stands nowhere in {}", source.display());
    }
    folder
}

/// Replaces `from` wherever no digit stands before or after it.
fn replace_alone(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let alone = !digit(before.chars().last()) && !digit(after.chars().next());
        out.push_str(before);
        out.push_str(if alone { to } else { from });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::replace_alone;

    #[test]
    fn a_number_is_replaced_only_where_it_stands_alone() {
        let check = |text: &str, expect: &str| {
            assert_eq!(replace_alone(text, "8081", "4"), expect);
        };
        check("127.0.0.1:8081;", "127.0.0.1:4;");
        check("port_value: 8081 }", "port_value: 4 }");
        check("18081 80810 8081", "18081 80810 4");
        check("nothing", "nothing");
    }
}
