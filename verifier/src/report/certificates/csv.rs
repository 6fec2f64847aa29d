//! CSV (RFC 4180), a line for each certificate where it stands.

use crate::certs::Listed;

const HEAD: &str = "host,place,names,subject,issuer,serial,sans,usages,key,signature,sha256,notBefore,notAfter,daysLeft,usedBy,standing";

/// Returns the certificates as CSV.
pub(in crate::report) fn text(certificates: &[Listed]) -> String {
    let mut text = format!("{HEAD}\r\n");
    for listed in certificates {
        let fields = [
            listed.host.as_deref().unwrap_or_default().to_owned(),
            listed.place.to_string(),
            joined(&listed.names),
            listed.subject.to_string(),
            listed.issuer.to_string(),
            listed.serial.to_string(),
            joined(&listed.sans),
            listed.usages.join(" "),
            listed.key.clone(),
            listed.signature.to_string(),
            listed.sha256.clone(),
            listed.not_before.to_string(),
            listed.not_after.to_string(),
        ];
        let fields = fields.iter().map(|field| field_of(field));
        let days = [
            listed.days_left.to_string(),
            field_of(&joined(&listed.used_by)),
            listed.standing.word().to_owned(),
        ];
        let line: Vec<String> = fields.chain(days).collect();
        text += &line.join(",");
        text += "\r\n";
    }
    text
}

fn joined(texts: &[cli::Shown]) -> String {
    let texts: Vec<&str> = texts.iter().map(cli::Shown::as_str).collect();
    texts.join("; ")
}

/// Returns a field. One that a spreadsheet would take for a formula gets a quote before it: names come from certificates.
pub(in crate::report) fn field_of(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::certificates::testing::listed;

    #[test]
    fn every_certificate_has_a_line_of_as_many_fields_as_the_head() {
        let all = [
            listed("node-0", "/a.crt", "O=x, CN=\"y\"", "2027-01-01T00:00:00Z", -3),
            listed("node-0", "/b.crt", "=cmd()", "2027-01-01T00:00:00Z", 3),
        ];
        let text = text(&all);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].starts_with("node-0,/a.crt,,\"O=x, CN=\"\"y\"\"\",CN=CA,01,node-0; 127.0.0.1,client,"),
            "{text}"
        );
        assert!(lines[1].ends_with(",-3,kubelet tlsCertFile,good"), "{text}");
        assert!(lines[2].contains(",'=cmd(),"), "{text}");
        assert_eq!(lines[2].matches(',').count(), HEAD.matches(',').count());
    }
}
