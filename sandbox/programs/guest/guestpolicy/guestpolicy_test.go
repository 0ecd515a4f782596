//go:build linux && rego

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

func answers(t *testing.T, policy string, requests ...string) []answer {
	t.Helper()
	input := base64.StdEncoding.EncodeToString([]byte(policy)) + "\n" + strings.Join(requests, "\n")
	var output bytes.Buffer
	if err := serve(strings.NewReader(input), &output); err != nil {
		t.Fatal(err)
	}
	found := []answer{}
	for decoder := json.NewDecoder(&output); decoder.More(); {
		var one answer
		if err := decoder.Decode(&one); err != nil {
			t.Fatal(err)
		}
		found = append(found, one)
	}
	return found
}

func TestAnUnknownLayerIsRefusedInTheEnginesOwnWords(t *testing.T) {
	policy, err := os.ReadFile("../../../../tests/data/policy/privileged-pod.rego")
	if err != nil {
		t.Fatal(err)
	}
	mount := `{"point": "mount_device", "input": {"target": "/run/mounts/scsi/m0", "deviceHash": "` +
		strings.Repeat("1", 64) + `"}}`
	found := answers(t, string(policy), mount)
	if len(found) != 2 || !found[0].Allowed || found[1].Allowed {
		t.Fatal(found)
	}
	text := regexp.MustCompile(`^policyDecision< (\S+) >policyDecision$`).FindStringSubmatch(found[1].Error)
	if text == nil {
		t.Fatal(found[1].Error)
	}
	decision, _ := base64.StdEncoding.DecodeString(text[1])
	if !strings.Contains(string(decision), "deviceHash not found") {
		t.Fatal(string(decision))
	}
}

func TestATextThatIsNoPolicyOpensNoEngine(t *testing.T) {
	for _, text := range []string{"no policy", "package policy\nmount_device :=", "\xff"} {
		if found := answers(t, text); len(found) != 1 || found[0].Allowed || found[0].Error == "" {
			t.Fatal(text, found)
		}
	}
}
