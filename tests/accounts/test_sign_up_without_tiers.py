"""Before the first change is published there is no tier to start on."""


def test_a_sign_up_before_the_first_limits_is_asked_to_come_back(sign_up, person):
    page = sign_up(status=503, redirect=None)

    assert "Come back" in page.text
    assert person("eve@example.com") is None
