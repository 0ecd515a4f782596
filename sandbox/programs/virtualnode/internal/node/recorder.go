package node

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

// QuietRecorder drops the library's own events on each call of the provider: a kubelet has none of the kind, and
// `kubectl describe` is for what happens to the pod.
type QuietRecorder struct{ record.EventRecorder }

// Event records an event unless it is one of those.
func (q QuietRecorder) Event(object runtime.Object, kind, reason, message string) {
	if !strings.HasPrefix(reason, "Provider") {
		q.EventRecorder.Event(object, kind, reason, message)
	}
}
