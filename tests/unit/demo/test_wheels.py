from demo.wheels import requirements_of


def test_the_workloads_requirements_come_from_the_project_file():
    requirements = requirements_of("workload")

    assert any(one.startswith("streamlit>=") for one in requirements)
    assert not any(one.startswith("kopf") for one in requirements)


def test_an_extra_adds_to_what_the_distribution_needs():
    requirements = requirements_of(".", "operator")

    assert any(one.startswith("kopf>=") for one in requirements)
    assert any(one.startswith("click>=") for one in requirements)
    assert not any(one.startswith("streamlit") for one in requirements)
