//! Packs images, configuration, manifests and the verifier into one checksummed archive.
