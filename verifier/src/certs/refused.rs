//! What Go's crypto/x509 takes for no certificate, though openssl shows it like any other.

use x509_parser::certificate::X509Certificate;

/// Extensions that Go looks at (crypto/x509, parseCertificate and processExtensions); another one that is critical it refuses.
const KNOWN: [&str; 12] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
];
/// id-ecPublicKey (RFC 5480).
const EC: &str = "1.2.840.10045.2.1";
/// P-224, P-256, P-384 and P-521.
const CURVES: [&str; 4] = [
    "1.3.132.0.33",
    "1.2.840.10045.3.1.7",
    "1.3.132.0.34",
    "1.3.132.0.35",
];

/// What keeps everything that is written in Go from using a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it is, in the words of its fields.
    pub rule: String,
    /// Whether only programs of Go 1.23 and later do (Kubernetes from 1.32 on).
    pub lately: bool,
}

impl Refused {
    /// Returns the first thing that Go does not take.
    pub(super) fn of(read: &X509Certificate<'_>) -> Option<Self> {
        let now = |rule: String| Some(Self { rule, lately: false });
        let algorithm = &read.public_key().algorithm;
        if algorithm.algorithm.to_id_string() == EC {
            let parameters = algorithm.parameters.as_ref();
            let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
            let curve = curve.map(|curve| curve.to_id_string());
            if !curve.as_deref().is_some_and(|curve| CURVES.contains(&curve)) {
                return now(format!("namedCurve {}", curve.unwrap_or_default())
                    .trim()
                    .to_owned());
            }
        }
        let unknown = |id: &String| !KNOWN.contains(&id.as_str());
        let critical = read.extensions().iter().filter(|extension| extension.critical);
        if let Some(id) = critical
            .map(|extension| extension.oid.to_id_string())
            .find(unknown)
        {
            return now(format!("critical {id}"));
        }
        let negative = read.raw_serial().first().is_some_and(|byte| byte & 0x80 != 0);
        negative.then(|| Self {
            rule: "serialNumber < 0".to_owned(),
            lately: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn rule(der: &[u8]) -> Option<Refused> {
        let (_, read) = x509_parser::parse_x509_certificate(der).unwrap();
        Refused::of(&read)
    }

    fn of_curve(curve: &str) -> Vec<u8> {
        let arguments = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -keyout /dev/null -subj /CN=x -outform DER"
        );
        let made = Command::new("openssl").args(arguments.split(' ')).output();
        made.unwrap().stdout
    }

    #[test]
    fn go_knows_four_curves_and_no_negative_number() {
        assert_eq!(rule(&of_curve("P-521")), None);
        let other = rule(&of_curve("secp256k1")).unwrap();
        assert_eq!(
            (other.rule.as_str(), other.lately),
            ("namedCurve 1.3.132.0.10", false)
        );
        let mut params = rcgen::CertificateParams::default();
        let serial = [0x71, 0x13, 0x57, 0x9b, 0xdf];
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
        let key = rcgen::KeyPair::generate().unwrap();
        let mut der = params.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(rule(&der), None);
        let at = der
            .windows(serial.len())
            .position(|bytes| bytes == serial)
            .unwrap();
        der[at] = 0xf1;
        assert!(rule(&der).unwrap().lately);
    }
}
