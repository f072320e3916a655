/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/**
 * What {@code holdfast prepare} has a JobManager run while it records which classes a recovery loads. It needs no jar of a
 * user, reads and writes nothing outside Flink, and has what most jobs have: a source with a coordinator, a key, state, a
 * sink, and checkpoints. In a real deployment it is only ever what a waiting JobManager rehearses with ({@link Rehearsal}).
 */
public final class TrainingJob {

    private static final long CHECKPOINT_INTERVAL_MS = 500;
    /** Enough for a checkpoint to have state, and nothing for a processor to do. */
    private static final double RECORDS_PER_SECOND = 100;
    private static final int KEYS = 10;

    private TrainingJob() {}

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.enableCheckpointing(CHECKPOINT_INTERVAL_MS);
        build(env);
        env.execute("holdfast-training");
    }

    /** What is to be run; it does not end by itself. */
    static void build(StreamExecutionEnvironment env) {
        DataGeneratorSource<Long> numbers =
                new DataGeneratorSource<>(
                        new Identity(),
                        Long.MAX_VALUE,
                        RateLimiterStrategy.perSecond(RECORDS_PER_SECOND),
                        Types.LONG);
        env.fromSource(numbers, WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .keyBy(new ByRemainder(), Types.LONG)
                .process(new Count())
                .uid("count")
                .sinkTo(new DiscardingSink<>())
                .uid("nowhere");
    }

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
        public Long getKey(Long number) {
            return number % KEYS;
        }
    }

    private static final class Count extends KeyedProcessFunction<Long, Long, Long> {
        private static final long serialVersionUID = 1L;

        /** Not made in open(), whose argument has another type in each generation of Flink. */
        private transient ValueState<Long> count;

        @Override
        public void processElement(Long number, Context context, Collector<Long> out) throws Exception {
            if (count == null) {
                count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
            }
            Long before = count.value();
            long now = before == null ? 1 : before + 1;
            count.update(now);
            out.collect(now);
        }
    }
}
