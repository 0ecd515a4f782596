// Package node turns pods into Confidential container groups, and groups' states back into pods' statuses.
package node

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// Annotations of virtual nodes on Azure Container Instances.
const (
	annotationPrefix     = "microsoft.containerinstance.virtualnode."
	annotationPolicy     = annotationPrefix + "ccepolicy"
	annotationIdentity   = annotationPrefix + "identity"
	annotationSubnet     = annotationPrefix + "subnets.primary"
	annotationZones      = annotationPrefix + "zones"
	annotationCustomTags = annotationPrefix + "customtags"
)

// Tags by which a node knows its groups again; the names are those of the virtual-kubelet provider for Azure.
const (
	tagPodName   = "PodName"
	tagNamespace = "Namespace"
	tagUID       = "UID"
	tagNode      = "NodeName"
)

const (
	// maximumName is the service's limit for a group's name.
	maximumName = 63
	// uidDigits of a SHA-256 keep two pods of one name apart, an old one and its successor, or `a-b/c` and `a/b-c`.
	uidDigits = 10
)

// GroupName is the name of a pod's group, the same at every call.
func GroupName(pod *corev1.Pod) string {
	digest := sha256.Sum256([]byte(pod.UID))
	suffix := "-" + hex.EncodeToString(digest[:])[:uidDigits]
	// Pod names may hold dots, group names may not.
	stem := strings.ReplaceAll(pod.Namespace+"-"+pod.Name, ".", "-")
	if len(stem) > maximumName-len(suffix) {
		stem = strings.TrimRight(stem[:maximumName-len(suffix)], "-")
	}
	return stem + suffix
}

// groupTags say whose group it is; tags of the user come first and cannot replace ours.
func groupTags(pod *corev1.Pod, node string) map[string]string {
	tags := map[string]string{}
	for _, entry := range strings.Split(pod.Annotations[annotationCustomTags], ";") {
		if key, value, found := strings.Cut(entry, "="); found {
			tags[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	tags[tagPodName] = pod.Name
	tags[tagNamespace] = pod.Namespace
	tags[tagUID] = string(pod.UID)
	tags[tagNode] = node
	return tags
}

// podOf is the UID of the pod that a group was made for, if this node made it.
func podOf(group *arm.Group, node string) (types.UID, bool) {
	uid := group.Tags[tagUID]
	return types.UID(uid), uid != "" && group.Tags[tagNode] == node
}
