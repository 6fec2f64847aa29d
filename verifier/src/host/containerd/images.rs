//! The records of images: a name and what it stands for.

use std::collections::HashMap;

use bundle::Digest;
use tonic::Code;
use tonic::transport::Channel;

use super::client::{Containerd, answer, or_none};
use super::error::Error;
use super::proto::images::images_client::ImagesClient;
use super::proto::images::{
    CreateImageRequest, GetImageRequest, Image, ListImagesRequest, UpdateImageRequest,
};
use super::proto::types::Descriptor;
use crate::host::runtime_socket::MESSAGE_LIMIT;
use crate::protocol::{LoadPlan, PlannedImage};

/// The label by which the CRI knows the images that are its own (internal/cri/labels/labels.go).
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");
/// The label that keeps the kubelet from collecting an image.
const PINNED: (&str, &str) = ("io.cri-containerd.pinned", "pinned");

fn client(containerd: &Containerd) -> ImagesClient<Channel> {
    ImagesClient::new(containerd.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
}

/// Returns every record of a namespace: its name and what it stands for.
pub(super) async fn list(containerd: &Containerd) -> Result<Vec<(String, Descriptor)>, Error> {
    let mut client = client(containerd);
    let request = ListImagesRequest { filters: Vec::new() };
    let call = client.list(containerd.request(request));
    let reply = answer(|| "list the images".into(), call).await?;
    let records = reply.images.into_iter();
    Ok(records
        .map(|image| (image.name, image.target.unwrap_or_default()))
        .collect())
}

/// Returns whether the record `name` is as the plan wants it.
pub(super) async fn is_right(
    containerd: &Containerd,
    name: &str,
    image: &PlannedImage,
    plan: &LoadPlan,
) -> Result<bool, Error> {
    let request = GetImageRequest {
        name: name.to_owned(),
    };
    let mut client = client(containerd);
    let call = client.get(containerd.request(request));
    let reply = or_none(answer(|| format!("look for image {name}"), call).await)?;
    let Some(found) = reply.and_then(|reply| reply.image) else {
        return Ok(false);
    };
    let digest = found.target.map(|target| target.digest).unwrap_or_default();
    let same = stands_for(name, image, plan).any(|target| target.to_string() == digest);
    let labelled = labels(plan.pin)
        .iter()
        .all(|(key, value)| found.labels.get(key) == Some(value));
    Ok(same && labelled)
}

/// Returns what a record may stand for. Images of one id share the record of that name: it stands for any of them.
fn stands_for<'a>(
    name: &'a str,
    image: &'a PlannedImage,
    plan: &'a LoadPlan,
) -> impl Iterator<Item = Digest> + 'a {
    let by_id = name == image.config.digest.to_string();
    let twins = plan
        .images
        .iter()
        .filter(move |other| by_id && other.config.digest == image.config.digest);
    let own = std::iter::once(image.target.digest);
    own.chain(twins.map(|twin| twin.target.digest))
}

/// Makes the record `name`, or sets it right.
pub(super) async fn put(
    containerd: &Containerd,
    name: &str,
    image: &PlannedImage,
    plan: &LoadPlan,
) -> Result<(), Error> {
    let record = Image {
        name: name.to_owned(),
        labels: labels(plan.pin),
        target: Some(Descriptor {
            media_type: image.media_type.clone(),
            digest: image.target.digest.to_string(),
            size: i64::try_from(image.target.size).unwrap_or(i64::MAX),
            annotations: HashMap::new(),
        }),
        ..Image::default()
    };
    let request = CreateImageRequest {
        image: Some(record.clone()),
        source_date_epoch: None,
    };
    let mut client = client(containerd);
    let call = client.create(containerd.request(request));
    match answer(|| format!("create image {name}"), call).await {
        Err(error) if error.has_code(Code::AlreadyExists) => {}
        other => return other.map(drop),
    }
    let mut paths = vec!["target".to_owned()];
    paths.extend(record.labels.keys().map(|key| format!("labels.{key}")));
    let request = UpdateImageRequest {
        image: Some(record),
        update_mask: Some(prost_types::FieldMask { paths }),
        source_date_epoch: None,
    };
    let call = client.update(containerd.request(request));
    answer(|| format!("update image {name}"), call).await.map(drop)
}

fn labels(pin: bool) -> HashMap<String, String> {
    let labels = [Some(MANAGED), pin.then_some(PINNED)];
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    labels.into_iter().flatten().map(pair).collect()
}
