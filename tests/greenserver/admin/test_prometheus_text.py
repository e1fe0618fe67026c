"""The Prometheus exposition lists every metric with its type, counted or not."""

from prometheus_client.parser import text_string_to_metric_families

from greenserver.admin import prometheus_text
from greenserver.admin.shared_memory import SharedMemory
from greenserver.admin.shared_metrics import COUNTER, FAMILIES, HISTOGRAM, SharedMetrics


def test_lists_every_metric_before_anything_is_counted() -> None:
    memory = SharedMemory()
    found = {each.name: each for each in text_string_to_metric_families(prometheus_text.write(memory).decode())}
    assert set(found) == {f"greenserver_{each.name}" for each in FAMILIES}
    for family in FAMILIES:
        kind = family.kind if family.kind in {COUNTER, HISTOGRAM} else "gauge"
        assert found[f"greenserver_{family.name}"].type == kind
        assert found[f"greenserver_{family.name}"].documentation == family.text
    memory.close()


def test_escapes_any_label_value() -> None:
    memory = SharedMemory()
    reason = 'a "quoted" \\ one, käse'
    SharedMetrics(memory.open(memory.allot())).refused(reason)
    families = text_string_to_metric_families(prometheus_text.write(memory).decode())
    (sample,) = next(each for each in families if each.name == "greenserver_refusals").samples
    assert (sample.labels, sample.value) == ({"reason": reason}, 1.0)
    memory.close()
