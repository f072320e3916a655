/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** A hash over named things. Each text is preceded by its length, so that two lists with the same bytes differ. */
final class Sha256 {

    private final MessageDigest digest;

    Sha256() {
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException("every JDK has SHA-256", impossible);
        }
    }

    Sha256 text(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        digest.update((bytes.length + ":").getBytes(StandardCharsets.US_ASCII));
        digest.update(bytes);
        return this;
    }

    Sha256 bytes(byte[] bytes, int length) {
        digest.update(bytes, 0, length);
        return this;
    }

    /** The first half of the hash in hex; enough to tell things apart that nobody forges. Used up afterwards. */
    String hex() {
        byte[] hash = digest.digest();
        StringBuilder hex = new StringBuilder();
        for (int i = 0; i < hash.length / 2; i++) {
            hex.append(String.format("%02x", hash[i]));
        }
        return hex.toString();
    }
}
