//! CSV (RFC 4180), a line for each image on each host.

use crate::images::Listed;
use crate::report::certificates::csv_field as field;

const HEAD: &str =
    "host,namespace,names,digests,id,platform,pinned,bundled,blobs,snapshots,own,usedBy,standing,causes";

/// Returns the images as CSV.
pub(in crate::report) fn text(images: &[Listed]) -> String {
    let mut text = format!("{HEAD}\r\n");
    for listed in images {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let fields = [
            listed.host.to_string(),
            listed.namespace.as_deref().unwrap_or_default().to_owned(),
            joined(&listed.names),
            joined(&listed.digests),
            listed.id.as_deref().unwrap_or_default().to_owned(),
            listed.platform.as_deref().unwrap_or_default().to_owned(),
            listed.pinned.to_string(),
            listed
                .bundled
                .map_or_else(String::new, |bundled| bundled.to_string()),
            number(listed.blobs),
            number(listed.snapshots),
            number(listed.own),
            joined(&listed.used_by),
            listed.standing.word().to_owned(),
            listed.causes.join(" "),
        ];
        let fields: Vec<String> = fields.iter().map(|text| field(text)).collect();
        text += &fields.join(",");
        text += "\r\n";
    }
    text
}

/// Returns texts as one field.
fn joined(texts: &[cli::Shown]) -> String {
    let texts: Vec<&str> = texts.iter().map(cli::Shown::as_str).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::images::testing::listed;

    #[test]
    fn every_image_has_a_line_of_as_many_fields_as_the_head() {
        let all = [
            listed(
                "node-0",
                "docker.io/library/nginx:1.29",
                &["default/web/nginx", "a/b/c"],
            ),
            listed("node-1", "=cmd():1", &[]),
        ];
        let text = text(&all);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 3);
        let begin = "node-0,k8s.io,docker.io/library/nginx:1.29,docker.io/library/nginx@sha256:cdcd";
        assert!(lines[1].starts_with(begin), "{text}");
        assert!(
            lines[1]
                .ends_with(",linux/amd64,true,true,3145728,9437184,1048576,default/web/nginx; a/b/c,good,"),
            "{text}"
        );
        assert!(lines[2].contains(",'=cmd():1,"), "{text}");
        assert_eq!(lines[1].matches(',').count(), HEAD.matches(',').count());
    }
}
