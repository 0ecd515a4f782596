// Command layerhash prints what the reference implementation makes of layer tars: one JSON object per line, in the order of
// the paths given as arguments or, without arguments, on standard input.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/Microsoft/hcsshim/ext4/dmverity"
	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
)

type answer struct {
	RootHash   string `json:"roothash,omitempty"`
	Ext4Sha256 string `json:"ext4_sha256,omitempty"`
	Ext4Blocks int64  `json:"ext4_blocks,omitempty"`
	Error      string `json:"error,omitempty"`
}

func measure(path, scratch string) (result answer, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	layer, err := os.Open(path)
	if err != nil {
		return result, err
	}
	defer layer.Close()
	image, err := os.Create(scratch)
	if err != nil {
		return result, err
	}
	defer image.Close()
	err = tar2ext4.ConvertTarToExt4(bufio.NewReaderSize(layer, 1<<20), image,
		tar2ext4.ConvertWhiteout, tar2ext4.MaximumDiskSize(dmverity.RecommendedVHDSizeGB))
	if err != nil {
		return result, err
	}
	digest := sha256.New()
	if _, err = image.Seek(0, io.SeekStart); err != nil {
		return result, err
	}
	size, err := io.Copy(digest, image)
	if err != nil {
		return result, err
	}
	if _, err = image.Seek(0, io.SeekStart); err != nil {
		return result, err
	}
	tree, err := dmverity.MerkleTree(bufio.NewReaderSize(image, dmverity.MerkleTreeBufioSize))
	if err != nil {
		return result, err
	}
	return answer{
		RootHash:   fmt.Sprintf("%x", dmverity.RootHash(tree)),
		Ext4Sha256: fmt.Sprintf("%x", digest.Sum(nil)),
		Ext4Blocks: size / 4096,
	}, nil
}

func main() {
	scratch, err := os.CreateTemp("", "layerhash")
	if err != nil {
		panic(err)
	}
	scratch.Close()
	defer os.Remove(scratch.Name())
	out := json.NewEncoder(os.Stdout)
	answerFor := func(path string) {
		result, err := measure(path, scratch.Name())
		if err != nil {
			result = answer{Error: err.Error()}
		}
		_ = out.Encode(result)
	}
	for _, path := range os.Args[1:] {
		answerFor(path)
	}
	if len(os.Args) == 1 {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			answerFor(lines.Text())
		}
	}
}
