CLASS ltcl_life DEFINITION FINAL FOR TESTING RISK LEVEL HARMLESS DURATION SHORT.

  PRIVATE SECTION.
    CONSTANTS c_now TYPE ztkw_moment VALUE '20261123100000'.

    METHODS no_token_is_not_alive FOR TESTING.
    METHODS alive_until_the_last_seconds FOR TESTING.
    METHODS never_expiring_is_fresh FOR TESTING.
    METHODS refused_is_dead FOR TESTING.
    METHODS margin_is_the_larger FOR TESTING.
    METHODS margin_leaves_half_a_life FOR TESTING.
    METHODS server_clock_counts FOR TESTING.

    METHODS token
      IMPORTING
        life         TYPE i
        left         TYPE i
      RETURNING
        VALUE(token) TYPE ztkw_tokens.

    METHODS margin
      IMPORTING
        life     TYPE i
        wanted   TYPE i DEFAULT 0
        chance   TYPE i DEFAULT 0
        expected TYPE i.
ENDCLASS.


CLASS ltcl_life IMPLEMENTATION.

  METHOD token.
    token-access_token = `1.example`.
    token-serial = 3.
    token-valid_till = zcl_tkw_time=>add( moment  = c_now
                                          seconds = left ).
    token-obtained_at = zcl_tkw_time=>add( moment  = token-valid_till
                                           seconds = - life ).
  ENDMETHOD.

  METHOD margin.
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_life=>margin( token  = token( life = life
                                                                                    left = life )
                                                                    wanted = wanted
                                                                    chance = chance )
                                        exp = expected
                                        msg = |life { life }| ).
  ENDMETHOD.

  METHOD no_token_is_not_alive.
    DATA row TYPE ztkw_tokens.

    cl_abap_unit_assert=>assert_false( zcl_tkw_life=>is_alive( token = row
                                                               now   = c_now ) ).
    row = token( life = 3600
                 left = 3000 ).
    CLEAR row-access_token.
    cl_abap_unit_assert=>assert_false( zcl_tkw_life=>is_alive( token = row
                                                               now   = c_now ) ).
  ENDMETHOD.

  METHOD alive_until_the_last_seconds.
    cl_abap_unit_assert=>assert_true( zcl_tkw_life=>is_alive( token = token( life = 3600
                                                                             left = 6 )
                                                              now   = c_now ) ).
    cl_abap_unit_assert=>assert_false( zcl_tkw_life=>is_alive( token = token( life = 3600
                                                                              left = 5 )
                                                               now   = c_now ) ).
    cl_abap_unit_assert=>assert_true( zcl_tkw_life=>is_fresh( token  = token( life = 3600
                                                                              left = 361 )
                                                              now    = c_now
                                                              margin = 360 ) ).
    cl_abap_unit_assert=>assert_false( zcl_tkw_life=>is_fresh( token  = token( life = 3600
                                                                               left = 360 )
                                                               now    = c_now
                                                               margin = 360 ) ).
  ENDMETHOD.

  METHOD never_expiring_is_fresh.
    DATA row TYPE ztkw_tokens.

    row = token( life = 3600
                 left = 3600 ).
    row-valid_till = 0.
    cl_abap_unit_assert=>assert_initial( zcl_tkw_life=>margin( token  = row
                                                               wanted = 600
                                                               chance = 0 ) ).
    cl_abap_unit_assert=>assert_true( zcl_tkw_life=>is_fresh( token  = row
                                                              now    = c_now
                                                              margin = 0 ) ).
  ENDMETHOD.

  METHOD refused_is_dead.
    DATA row TYPE ztkw_tokens.

    row = token( life = 3600
                 left = 3600 ).
    row-dead_serial = row-serial.
    cl_abap_unit_assert=>assert_false( zcl_tkw_life=>is_alive( token = row
                                                               now   = c_now ) ).
    row-dead_serial = row-serial - 1.
    cl_abap_unit_assert=>assert_true( zcl_tkw_life=>is_alive( token = row
                                                              now   = c_now ) ).
  ENDMETHOD.

  METHOD margin_is_the_larger.
    margin( life     = 1800
            expected = 300 ).
    margin( life     = 36000
            expected = 3600 ).
    margin( life     = 36000
            wanted   = 900
            expected = 900 ).
    margin( life     = 36000
            chance   = 99
            expected = 3244 ).
  ENDMETHOD.

  METHOD margin_leaves_half_a_life.
    margin( life     = 60
            expected = 30 ).
    margin( life     = 500
            wanted   = 900
            expected = 250 ).
  ENDMETHOD.

  METHOD server_clock_counts.
    DATA row TYPE ztkw_tokens.

    " Our clock is ten minutes fast: the token that seems to have ended has ten minutes more.
    row = token( life = 3600
                 left = -1 ).
    row-clock_offset = -600.
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_life=>seconds_left( token = row
                                                                          now   = c_now )
                                        exp = 599 ).
    cl_abap_unit_assert=>assert_true( zcl_tkw_life=>is_alive( token = row
                                                              now   = c_now ) ).
    " And slow: one that seems to live has ended.
    row = token( life = 3600
                 left = 300 ).
    row-clock_offset = 600.
    cl_abap_unit_assert=>assert_false( zcl_tkw_life=>is_alive( token = row
                                                               now   = c_now ) ).
  ENDMETHOD.

ENDCLASS.
