package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"testing"
)

func layer(t *testing.T, trailing int) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	if err := writer.WriteHeader(&tar.Header{Name: "hello", Mode: 0o644, Size: 5}); err != nil {
		t.Fatal(err)
	}
	writer.Write([]byte("world"))
	writer.Close()
	return append(buffer.Bytes(), make([]byte, trailing)...)
}

func TestACompressedLayerIsTheSameLayerAndItsPaddingCountsForItsHash(t *testing.T) {
	plain := layer(t, 3<<20)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	writer.Write(plain)
	writer.Close()
	one, err := measure(bytes.NewReader(plain), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := measure(&packed, t.TempDir())
	if err != nil || one != other {
		t.Fatal(one, other, err)
	}
	if wanted := fmt.Sprintf("sha256:%x", sha256.Sum256(plain)); one.DiffID != wanted {
		t.Fatal(one.DiffID, wanted)
	}
}

func TestWhatIsCutOffHasNoHash(t *testing.T) {
	if found, err := measure(bytes.NewReader(layer(t, 0)[:514]), t.TempDir()); err == nil {
		t.Fatal(found)
	}
}
