// Command layerhash says what Microsoft's own converter makes of a layer: the root hash of the device that a guest gets,
// and the hash of the tar. The layer comes on standard input, as a tar or compressed with gzip or zstd; the file
// system is laid out in the folder that the one argument names. The answer is one line of JSON.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/Microsoft/hcsshim/ext4/dmverity"
	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
	"github.com/klauspost/compress/zstd"
)

const bufferSize = 1 << 20

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

type answer struct {
	RootHash string `json:"root_hash,omitempty"`
	DiffID   string `json:"diff_id,omitempty"`
	Error    string `json:"error,omitempty"`
}

func decompressed(input io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(input, bufferSize)
	start, _ := buffered.Peek(len(zstdMagic))
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		return gzip.NewReader(buffered)
	case bytes.HasPrefix(start, zstdMagic):
		return zstd.NewReader(buffered)
	}
	return buffered, nil
}

func measure(input io.Reader, folder string) (found answer, err error) {
	// The converter panics on some archives that are none.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the converter ended early: %v", cause)
		}
	}()
	tar, err := decompressed(input)
	if err != nil {
		return found, err
	}
	image, err := os.CreateTemp(folder, "layer")
	if err != nil {
		return found, err
	}
	defer image.Close()
	if err := os.Remove(image.Name()); err != nil {
		return found, err
	}
	digest := sha256.New()
	bytes := bufio.NewReaderSize(io.TeeReader(tar, digest), bufferSize)
	if err := tar2ext4.ConvertTarToExt4(bytes, image,
		tar2ext4.ConvertWhiteout, tar2ext4.MaximumDiskSize(dmverity.RecommendedVHDSizeGB)); err != nil {
		return found, err
	}
	if _, err := io.Copy(io.Discard, bytes); err != nil { // what follows the archive's end counts for its hash
		return found, err
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return found, err
	}
	tree, err := dmverity.MerkleTree(bufio.NewReaderSize(image, dmverity.MerkleTreeBufioSize))
	if err != nil {
		return found, err
	}
	return answer{
		RootHash: fmt.Sprintf("%x", dmverity.RootHash(tree)),
		DiffID:   fmt.Sprintf("sha256:%x", digest.Sum(nil)),
	}, nil
}

func main() {
	found, err := measure(os.Stdin, os.Args[1])
	if err != nil {
		found = answer{Error: err.Error()}
	}
	_ = json.NewEncoder(os.Stdout).Encode(found)
}
