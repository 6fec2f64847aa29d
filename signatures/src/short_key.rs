//! Private keys of OpenSSH on P-256 whose number is shorter than others': one in 256 begins with a byte of zeros, which OpenSSH
//! leaves out and ssh-key 0.7 does not take (`EcdsaPrivateKey::decode` wants 32 bytes at least).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets::{Secret, Wiped};
use ssh_key::encoding::{Decode as _, Encode as _, Error};
use ssh_key::{Cipher, Kdf, PrivateKey};

/// What a file begins with (OpenSSH's PROTOCOL.key).
const MAGIC: &[u8] = b"openssh-key-v1\0";
const KIND: &[u8] = b"ecdsa-sha2-nistp256";
/// The length of a number on P-256.
const NUMBER: usize = 32;
/// What an open key is padded to.
const BLOCK: usize = 8;

/// Opens a private key that ssh-key refuses for the length of its number; `None` where it is no such key, or the passphrase is
/// not its own.
pub fn short_key(text: &str, passphrase: Option<&Secret>) -> Option<PrivateKey> {
    let file = lengthened(text, passphrase).ok().flatten()?;
    PrivateKey::from_bytes(&file).ok()
}

/// Returns the file of such a key as it would be were its number as long as others', open.
fn lengthened(text: &str, passphrase: Option<&Secret>) -> Result<Option<Wiped<Vec<u8>>>, ssh_key::Error> {
    let body = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"));
    let body = Wiped::new(body.collect::<String>());
    let file = Wiped::new(
        STANDARD
            .decode(body.as_str())
            .map_err(|_| ssh_key::Error::FormatEncoding)?,
    );
    let Some(mut reader) = file.strip_prefix(MAGIC) else {
        return Ok(None);
    };
    let cipher = Cipher::decode(&mut reader)?;
    let kdf = Kdf::decode(&mut reader)?;
    let keys = u32::decode(&mut reader)?;
    let public = Vec::<u8>::decode(&mut reader)?;
    let mut private = Wiped::new(Vec::<u8>::decode(&mut reader)?);
    let is_of_the_kind = Vec::<u8>::decode(&mut public.as_slice())? == KIND;
    // Ciphers with a tag are nobody's default.
    if keys != 1 || !is_of_the_kind || cipher.has_tag() {
        return Ok(None);
    }
    if cipher.is_some() {
        let Some(passphrase) = passphrase else {
            return Ok(None);
        };
        let (key, iv) = kdf.derive_key_and_iv(cipher, passphrase.reveal())?;
        cipher.decrypt(&key, &iv, &mut private, None)?;
    }
    let Some(private) = padded(&private)? else {
        return Ok(None);
    };
    let mut open = Wiped::new(MAGIC.to_vec());
    Cipher::None.encode(&mut *open)?;
    Kdf::None.encode(&mut *open)?;
    keys.encode(&mut *open)?;
    public.encode(&mut *open)?;
    private.encode(&mut *open)?;
    Ok(Some(open))
}

/// Returns the private part of a file with zeros before its number; `None` where the passphrase was another, or the number is
/// as long as it may be.
fn padded(private: &[u8]) -> Result<Option<Wiped<Vec<u8>>>, Error> {
    let mut reader = private;
    let checks = [u32::decode(&mut reader)?, u32::decode(&mut reader)?];
    if checks[0] != checks[1] {
        return Ok(None);
    }
    let mut found = Wiped::new(Vec::with_capacity(private.len() + NUMBER + BLOCK));
    for check in checks {
        check.encode(&mut *found)?;
    }
    // Kind, curve and point.
    for _ in 0..3 {
        Vec::<u8>::decode(&mut reader)?.encode(&mut *found)?;
    }
    let number = Wiped::new(Vec::<u8>::decode(&mut reader)?);
    let Some(zeros) = NUMBER.checked_sub(number.len()).filter(|zeros| *zeros > 0) else {
        return Ok(None);
    };
    let whole = Wiped::new([&[0; NUMBER][..zeros], number.as_slice()].concat());
    whole.encode(&mut *found)?;
    // The comment; padding follows it.
    Vec::<u8>::decode(&mut reader)?.encode(&mut *found)?;
    let mut pad = 1;
    while found.len() % BLOCK != 0 {
        found.push(pad);
        pad += 1;
    }
    Ok(Some(found))
}
