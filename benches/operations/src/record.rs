//! One record: as bytes, and read again.

use std::hint::black_box;

use bytes::Bytes;
use ha_store::{DeploymentState, RecordHeader, StoreOptions, measured};

use crate::Run;
use crate::log::{Place, deployment};
use crate::same::runtime;

/// The newest record of a job that has taken many checkpoints.
pub fn sample() -> (RecordHeader, DeploymentState) {
    let runtime = runtime();
    let view = runtime.block_on(async {
        let mut led = Place::memory().led(0).await;
        for _ in 0..StoreOptions::default().limits.gone_snapshots_max {
            led.checkpoint().await;
        }
        led.store.view()
    });
    (view.header.clone().expect("a record"), (*view.state).clone())
}

/// Its bytes.
pub fn bytes() -> Bytes {
    let (header, state) = sample();
    measured::encode(&header, &state)
}

/// To bytes.
pub fn encode() -> Run {
    let (header, state) = sample();
    Box::new(move || drop(black_box(measured::encode(black_box(&header), &state))))
}

/// From bytes.
pub fn parse() -> Run {
    let (header, state) = sample();
    let (bytes, deployment) = (measured::encode(&header, &state), deployment());
    Box::new(move || {
        let read = measured::decode(black_box(&bytes), &deployment, header.sequence);
        assert!(black_box(read).is_ok(), "what was written is read");
    })
}
