/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.checkpoint.CheckpointStoreUtil;

/** The names of checkpoints in Flink's StateHandleStore. Fixed width, because Flink sorts them as strings. */
enum CheckpointNames implements CheckpointStoreUtil {
    INSTANCE;

    @Override
    public String checkpointIDToName(long checkpointId) {
        return String.format("%019d", checkpointId);
    }

    @Override
    public long nameToCheckpointID(String name) {
        return Long.parseLong(name);
    }
}
