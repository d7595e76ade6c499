package crate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"pipex/lib/step"
	"pipex/lib/workspace"
)

// workflowFile is the file that says which steps there were, for other programs.
const workflowFile = "workflow.json"

// workflow writes the steps as they were decided, and describes them and their execution.
// Records do not know the Makefile or the pipeline file that asked for them.
func (c *graph) workflow(dir string) error {
	var steps []*step.Pinned
	var positions, tools []string
	failed := false
	started := c.last()
	read := map[string]bool{} // ids of runs
	for i, n := range c.nodes {
		steps = append(steps, &n.Meta.Pinned)
		position := fmt.Sprintf("%s#step-%s", workflowFile, n.ID)
		c.add(entity{"@id": position, "@type": "HowToStep", "position": fmt.Sprint(i + 1), "name": title(n), "workExample": ref(c.tool(n))})
		positions, tools = append(positions, position), append(tools, c.tool(n))
		failed = failed || n.Meta.Status == workspace.Failure
		if at := n.Meta.StartedAt; at != nil && at.Before(started) {
			started = at.Time
		}
		for _, in := range n.Inputs {
			read[in.ID] = true
		}
	}
	var data bytes.Buffer
	out := json.NewEncoder(&data)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(map[string]any{"steps": steps}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, workflowFile), data.Bytes(), 0o666); err != nil {
		return err
	}

	sum := sha256.Sum256(data.Bytes())
	e := fileEntity(workflowFile, "The steps, as they were decided, each after those that it reads", int64(data.Len()), hex.EncodeToString(sum[:]))
	e["@type"] = []string{"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"}
	e["programmingLanguage"] = ref("#pipex-meta")
	e["step"], e["hasPart"] = refs(positions), refs(unique(tools))
	c.add(e)
	c.add(entity{"@id": "#pipex-meta", "@type": "ComputerLanguage", "name": "pipex-meta(5)", "description": "The fields of a step, as the manual page pipex-meta(5) describes them."})
	c.parts = append(c.parts, workflowFile)

	var objects, results []string
	for _, n := range c.nodes {
		for _, id := range c.inputs(n) {
			if id[0] == '#' {
				objects = append(objects, id)
			}
		}
		if !read[n.ID] {
			results = append(results, artifactsID(n))
		}
	}
	action := entity{
		"@id": "#workflow-run", "@type": "CreateAction", "name": "Run of all steps", "instrument": ref(workflowFile),
		"startTime": stamp(started), "endTime": stamp(c.last()), "actionStatus": schemaOrg + "CompletedActionStatus",
		"object": refs(unique(objects)), "result": refs(results),
	}
	if failed {
		action["actionStatus"] = schemaOrg + "FailedActionStatus"
		action["error"] = "a step failed"
	}
	c.add(action)
	c.mentions = append([]string{"#workflow-run"}, c.mentions...)
	return nil
}

func unique(ids []string) (list []string) {
	seen := map[string]bool{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
	}
	return list
}
