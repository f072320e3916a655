/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.demo;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import org.apache.flink.util.Collector;

import java.nio.file.Files;
import java.nio.file.Paths;

/**
 * A job whose output proves exactly-once: one paced source of 0, 1, 2, … (its offset is in the checkpoint) → keyed by
 * {@code seq % 100} → counted in keyed state → files that become visible only when a checkpoint commits them.
 *
 * <p>A line is {@code key,count,seq,ts_ms}; {@code ts_ms} is when the record was counted. Over all finished files (those
 * whose name does not begin with a dot) every {@code seq} from 0 to the newest stands exactly once, and
 * {@code seq == key + 100 * (count - 1)}. A lost or a repeated record, or a counter that was restored from another
 * checkpoint than the offset, breaks one of the two.
 *
 * <p>Everything else (high availability, state backend, parallelism, retention) is the configuration's business. The
 * source keeps the parallelism 1: more would split the sequence.
 *
 * <p>For tests of what goes wrong:
 *
 * <ul>
 *   <li>{@code --poison SEQ}: the record {@code SEQ} cannot be processed, in any attempt. Without this option it can, and
 *       the output goes on where it ended;
 *   <li>{@code --main-sleep-ms MS}: {@code main()} takes so long;
 *   <li>{@code --main-fails-if FILE}: {@code main()} throws while that file exists;
 *   <li>{@code --max-parallelism N}: that of the job; its parallelism is {@code parallelism.default}.
 * </ul>
 */
public final class DemoJob {

    private static final int KEYS = 100;

    private DemoJob() {}

    public static void main(String[] args) throws Exception {
        DemoArguments arguments = DemoArguments.parse(args);
        Thread.sleep(arguments.mainSleepMs);
        if (arguments.mainFailsIf != null && Files.exists(Paths.get(arguments.mainFailsIf))) {
            throw new IllegalStateException("main() fails, because " + arguments.mainFailsIf + " exists");
        }
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.enableCheckpointing(arguments.checkpointIntervalMs);
        if (arguments.maxParallelism > 0) {
            env.setMaxParallelism(arguments.maxParallelism);
        }

        DataGeneratorSource<Long> sequence =
                new DataGeneratorSource<>(
                        new Identity(),
                        arguments.records,
                        RateLimiterStrategy.perSecond(arguments.ratePerSecond),
                        Types.LONG);
        FileSink<String> files =
                FileSink.forRowFormat(new Path(arguments.out), new SimpleStringEncoder<String>("UTF-8"))
                        .withBucketAssigner(new BasePathBucketAssigner<>())
                        .withRollingPolicy(OnCheckpointRollingPolicy.build())
                        .build();

        env.fromSource(sequence, WatermarkStrategy.noWatermarks(), "sequence")
                .setParallelism(1)
                .uid("sequence")
                .keyBy(new ByRemainder(), Types.LONG)
                .process(new CountPerKey(arguments.poison))
                .name("count")
                .uid("count")
                .sinkTo(files)
                .name("files")
                .uid("files");
        env.execute(arguments.name);
    }

    /** The generator's index is the record. */
    private static final class Identity implements GeneratorFunction<Long, Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public Long map(Long index) {
            return index;
        }
    }

    private static final class ByRemainder implements KeySelector<Long, Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public Long getKey(Long seq) {
            return seq % KEYS;
        }
    }

    /** Numbers the records of each key from 1, and writes the line. */
    private static final class CountPerKey extends KeyedProcessFunction<Long, Long, String> {
        private static final long serialVersionUID = 1L;

        private final long poison;
        private transient ValueState<Long> count;

        CountPerKey(long poison) {
            this.poison = poison;
        }

        @Override
        public void open(OpenContext openContext) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
        }

        @Override
        public void processElement(Long seq, Context context, Collector<String> out) throws Exception {
            if (seq == poison) {
                throw new IllegalArgumentException("record " + seq + " cannot be processed");
            }
            Long before = count.value();
            long now = before == null ? 1 : before + 1;
            count.update(now);
            out.collect(context.getCurrentKey() + "," + now + "," + seq + "," + System.currentTimeMillis());
        }
    }
}
