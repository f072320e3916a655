/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** What a class file refers to: its constant pool (JVMS §4.4), of which the parts that are linked at run time. */
final class ClassReferences {

    /** A method or a field of a class, by its descriptor. */
    static final class Member {
        final String owner;
        final String name;
        final String descriptor;

        Member(String owner, String name, String descriptor) {
            this.owner = owner;
            this.name = name;
            this.descriptor = descriptor;
        }

        boolean isMethod() {
            return descriptor.startsWith("(");
        }

        @Override
        public String toString() {
            return owner + "." + name + descriptor;
        }
    }

    final List<String> classes = new ArrayList<>();
    final List<Member> members = new ArrayList<>();

    private final int[] tags;
    private final int[] first;
    private final int[] second;
    private final String[] texts;

    private ClassReferences(int entries) {
        tags = new int[entries];
        first = new int[entries];
        second = new int[entries];
        texts = new String[entries];
    }

    static ClassReferences of(InputStream classFile) throws IOException {
        DataInputStream in = new DataInputStream(classFile);
        in.readInt(); // magic
        in.readInt(); // version
        ClassReferences references = new ClassReferences(in.readUnsignedShort());
        references.readPool(in);
        references.collect();
        return references;
    }

    private void readPool(DataInputStream in) throws IOException {
        for (int i = 1; i < tags.length; i++) {
            tags[i] = in.readUnsignedByte();
            switch (tags[i]) {
                case 1: // Utf8
                    texts[i] = in.readUTF();
                    break;
                case 3: // Integer
                case 4: // Float
                    in.readInt();
                    break;
                case 5: // Long
                case 6: // Double
                    in.readLong();
                    i++; // they take two places
                    break;
                case 7: // Class
                case 8: // String
                case 16: // MethodType
                case 19: // Module
                case 20: // Package
                    first[i] = in.readUnsignedShort();
                    break;
                case 15: // MethodHandle
                    in.readUnsignedByte();
                    first[i] = in.readUnsignedShort();
                    break;
                case 9: // Fieldref
                case 10: // Methodref
                case 11: // InterfaceMethodref
                case 12: // NameAndType
                case 17: // Dynamic
                case 18: // InvokeDynamic
                    first[i] = in.readUnsignedShort();
                    second[i] = in.readUnsignedShort();
                    break;
                default:
                    throw new IOException("unknown constant pool tag " + tags[i]);
            }
        }
    }

    private void collect() {
        for (int i = 1; i < tags.length; i++) {
            if (tags[i] == 7) {
                classes.add(className(i));
            } else if (tags[i] >= 9 && tags[i] <= 11) {
                int nameAndType = second[i];
                members.add(
                        new Member(className(first[i]), texts[first[nameAndType]], texts[second[nameAndType]]));
            }
        }
    }

    private String className(int index) {
        return texts[first[index]].replace('/', '.');
    }
}
