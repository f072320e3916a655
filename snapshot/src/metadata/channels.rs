//! Channel state: the records that were under way when an unaligned checkpoint was taken.

use super::Source;
use super::parse::{Parser, Result};

impl<S: Source> Parser<'_, S> {
    pub(super) async fn channels(&mut self) -> Result<()> {
        for (what, item) in [("input channel state", "channel"), ("output channel state", "subpartition")] {
            self.input.enter(what);
            let count = self.input.count(1, "the number of channels").await?;
            for index in 0..count {
                self.input.enter_item(item, u64::from(index));
                self.channel().await?;
                self.input.leave();
            }
            self.input.leave();
        }
        Ok(())
    }

    /// `ChannelStateHandleSerializerV1` up to version 5, `ChannelStateHandleSerializerV2` from version 6.
    async fn channel(&mut self) -> Result<()> {
        if self.version < 6 {
            return self.single_channel().await;
        }
        let expected = "the type of channel state: 1, 2, 3 or 4";
        let position = self.input.position();
        match self.input.u8(expected).await? {
            1 | 2 => self.single_channel().await,
            3 | 4 => self.merged_channels().await,
            other => Err(self.unknown_type(position, other, expected)),
        }
    }

    /// `InputChannelStateHandle`, `ResultSubpartitionStateHandle`
    async fn single_channel(&mut self) -> Result<()> {
        self.input.i32("the index of the subtask").await?;
        self.input.i32("the index of the gate or partition").await?;
        self.input.i32("the index of the channel or subpartition").await?;
        self.input.skip_offsets("the offsets of channel state").await?;
        self.input.i64("the size of channel state").await?;
        self.stream().await.map(drop)
    }

    /// `MergedInputChannelStateHandle`, `MergedResultSubpartitionStateHandle`
    async fn merged_channels(&mut self) -> Result<()> {
        self.input.i32("the index of the subtask").await?;
        self.input.i64("the size of channel state").await?;
        self.stream().await?;
        self.input.skip_bytes("the offsets of merged channel state").await.map(drop)
    }
}
