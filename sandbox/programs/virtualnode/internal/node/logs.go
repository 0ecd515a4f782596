package node

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// logPeriod is how often a followed log is asked for: the service has no way to be told of new lines.
const logPeriod = 1 * time.Second

// openLog reads a container's log; with Follow it goes on until the container ends or the reader closes.
func openLog(ctx context.Context, groups Groups, group, container string, options api.ContainerLogOpts) (io.ReadCloser, error) {
	if options.Previous {
		return nil, errors.New("container groups keep no log of a container's earlier life")
	}
	if options.Follow {
		return followLog(ctx, groups, group, container, options)
	}
	content, err := groups.Logs(ctx, group, container, options.Tail, options.Timestamps)
	if err != nil {
		return nil, err
	}
	content = lastLines(content, options.Tail)
	if options.LimitBytes > 0 && len(content) > options.LimitBytes {
		content = content[:options.LimitBytes]
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

// followLog asks for the whole log again and again, and passes on what has been added.
func followLog(ctx context.Context, groups Groups, group, container string, options api.ContainerLogOpts) (io.ReadCloser, error) {
	content, err := groups.Logs(ctx, group, container, 0, options.Timestamps)
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(pump(ctx, writer, groups, group, container, options, content)) }()
	return reader, nil
}

// pump writes what there is, and what is added, until the container has ended or is gone.
func pump(
	ctx context.Context, writer io.Writer, groups Groups, group, container string, options api.ContainerLogOpts, content string,
) error {
	_, err := io.WriteString(writer, lastLines(content, options.Tail))
	for err == nil {
		ended := hasEnded(ctx, groups, group, container) // asked first: what it wrote last is read after that
		next, failure := groups.Logs(ctx, group, container, 0, options.Timestamps)
		if arm.IsNotFound(failure) {
			return nil
		}
		if failure != nil {
			return failure
		}
		if _, err = io.WriteString(writer, added(content, next)); ended {
			return err
		}
		content = next
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(logPeriod):
		}
	}
	return err
}

// hasEnded tells whether the container will write no more in this life.
func hasEnded(ctx context.Context, groups Groups, name, container string) bool {
	group, err := groups.Get(ctx, name)
	if err != nil {
		return arm.IsNotFound(err)
	}
	for _, list := range [][]arm.Container{group.Properties.InitContainers, group.Properties.Containers} {
		if found := find(list, container); found != nil && found.Properties.InstanceView != nil {
			current := found.Properties.InstanceView.CurrentState
			return current != nil && current.State == arm.StateTerminated
		}
	}
	return false
}

// added is what `next` has more than `content`. The service keeps the end of a log only, so the beginning may be gone:
// then the longest end of `content` that `next` begins with is what they share.
func added(content, next string) string {
	if strings.HasPrefix(next, content) {
		return next[len(content):]
	}
	for start := 1; start < len(content); start++ {
		if content[start-1] == '\n' && strings.HasPrefix(next, content[start:]) {
			return next[len(content)-start:]
		}
	}
	return next
}

// lastLines is the end of a text; all of it when count is 0.
func lastLines(content string, count int) string {
	if count <= 0 {
		return content
	}
	lines := strings.SplitAfter(content, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines[max(0, len(lines)-count):], "")
}
